package redis

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encodeMetadata writes each name and each value as its length in decimal
// digits, a colon, and its bytes: "5:color3:red".
func encodeMetadata(m map[string]string) string {
	var b []byte
	for name, value := range m {
		b = appendCounted(b, name)
		b = appendCounted(b, value)
	}
	return string(b)
}

func appendCounted(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

var errMetadata = errors.New("not an encoding of metadata")

// decodeMetadata is the inverse of encodeMetadata. It returns an error for a
// string that encodeMetadata does not write.
func decodeMetadata(s string) (map[string]string, error) {
	m := map[string]string{}
	for s != "" {
		name, rest, err := cutCounted(s)
		if err != nil {
			return nil, err
		}
		value, rest, err := cutCounted(rest)
		if err != nil {
			return nil, err
		}
		if _, twice := m[name]; twice || name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, errMetadata
		}
		m[name] = value
		s = rest
	}
	return m, nil
}

func cutCounted(s string) (value, rest string, err error) {
	digits, rest, ok := strings.Cut(s, ":")
	if !ok || !isUint(digits) {
		return "", "", errMetadata
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > len(rest) {
		return "", "", errMetadata
	}
	return rest[:n], rest[n:], nil
}
