package nats

import (
	"fmt"
	"strconv"
	"strings"
)

// streamName returns the name of the stream of a store or topic. Names of
// streams have no dots, and names of stores have no equals signs.
func (p *provider) streamName(kind, name string) string {
	return p.config.prefix + "-" + kind + "-" + dotless(name)
}

func dotless(name string) string { return strings.ReplaceAll(name, ".", "=") }

// nameOf undoes streamName. ok is false for a stream of another kind or with
// another prefix.
func (p *provider) nameOf(kind, stream string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(stream, p.config.prefix+"-"+kind+"-")
	return strings.ReplaceAll(rest, "=", "."), ok
}

// A key is one token of a subject for each part that ends with a slash, and a
// last one that begins with an equals sign, since tokens are not empty: a/b is
// "a/.=b". So a prefix is a filter of the server as far as its last slash.

// keySubject returns the subject of a key within its store.
func keySubject(key string) string {
	b := make([]byte, 0, len(key)+8)
	b, rest := appendParts(b, key)
	return string(appendEscaped(append(b, '='), rest))
}

// prefixFilter returns a filter that takes all keys with a prefix, and perhaps
// others.
func prefixFilter(prefix string) string {
	b, _ := appendParts(nil, prefix)
	return string(append(b, '>'))
}

// appendParts appends the tokens of all parts that end with a slash, and
// returns the rest after them.
func appendParts(b []byte, key string) ([]byte, string) {
	for {
		i := strings.IndexByte(key, '/')
		if i < 0 {
			return b, key
		}
		b = append(appendEscaped(b, key[:i]), '/', '.')
		key = key[i+1:]
	}
}

func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			b = append(b, c)
		} else {
			b = append(b, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

const upperHex = "0123456789ABCDEF"

// subjectKey undoes keySubject.
func subjectKey(subject string) (string, error) {
	last := strings.LastIndexByte(subject, '.') + 1
	if last == len(subject) || subject[last] != '=' {
		return "", fmt.Errorf("the subject %q is not the subject of a key", subject)
	}
	escaped := strings.ReplaceAll(subject[:last], ".", "") + subject[last+1:]
	if !strings.Contains(escaped, "=") {
		return escaped, nil
	}
	b := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '=' {
			b = append(b, escaped[i])
			continue
		}
		if i+2 >= len(escaped) {
			return "", fmt.Errorf("the subject %q is not the subject of a key", subject)
		}
		n, err := strconv.ParseUint(escaped[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("the subject %q is not the subject of a key", subject)
		}
		b = append(b, byte(n))
		i += 2
	}
	return string(b), nil
}
