package mutants

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// keyChanges has changes that backends and their encodings make to keys, each under
// the name of the case that must detect it.
var keyChanges = map[string]func(key string) string{
	"slash":         replacing("/", "_"),
	"unicode":       func(key string) string { return strings.Map(onlyASCII, key) },
	"unicode-forms": replacing("e\u0301", "\u00e9"),
	"bom":           replacing("\ufeff", ""),
	"replacement":   replacing("\ufffd", "?"),
	"case":          strings.ToLower,
	"dots":          replacing("..", "."),
	"dot":           func(key string) string { return cond(key == ".", "..", key) },
	"leading-dot":   func(key string) string { return strings.TrimLeft(key, ".") },
	"trailing-dot":  func(key string) string { return strings.TrimRight(key, ".") },
	"bars":          cutting("||"),
	"star":          func(key string) string { return strings.TrimSuffix(key, "*") },
	"glob":          replacing("[a]", "a"),
	"gt":            replacing(">", "b"),
	"colon":         cutting(":"),
	"space":         strings.TrimSpace,
	"braces":        replacing("{a}b", "{a}"),
	"percent":       unescaped,
	"underscore":    replacing("_", "-"),
	"equals":        cutting("="),
	"backslash":     replacing(`\`, "/"),
	"quotes":        func(key string) string { return strings.NewReplacer("'", "", `"`, "", "`", "").Replace(key) },
	"dollar":        replacing("${b}", ""),
	"hash":          replacing("#", ""),
	"newline":       cutting("\n"),
	"nul":           cutting("\x00"),
	"controls":      func(key string) string { return strings.NewReplacer("\x1f\x7f\u0080", "").Replace(key) },
	"512-bytes":     shortened(511),
	"170-runes":     shortened(507),
	"max":           shortened(60_000),
}

func kvKeyMutants() []Mutant {
	var mutants []Mutant
	for _, name := range slices.Sorted(maps.Keys(keyChanges)) {
		change := keyChanges[name]
		mutants = append(mutants, kvMutant("key-"+name, "keys like the case's are stored under another name", cases("kv/key-"+name), func(driver.Store) store {
			return store{in: func(op *driver.Op) { op.Key = change(op.Key) }}
		}))
	}
	return append(mutants,
		kvDrift("key-over-max", "keys over the published limit are stored", cases("kv/key-over-max"), func(f *fairlead.FacetDescription) { f.Limits.MaxKeyBytes = 1000 }),
		kvMutantOf("key-400", "keys of more than 400 bytes are refused", cases("kv/key-refused", "kv/key-512-bytes"), kvProvider{
			describe: func(f *fairlead.FacetDescription) { f.Limits.MaxKeyBytes = 400 },
		}),
	)
}

func cond(holds bool, yes, no string) string {
	if holds {
		return yes
	}
	return no
}

func replacing(old, by string) func(string) string {
	return func(key string) string { return strings.ReplaceAll(key, old, by) }
}

// cutting cuts a key before the first occurrence of a string, unless the key begins
// with it.
func cutting(at string) func(string) string {
	return func(key string) string {
		before, _, _ := strings.Cut(key, at)
		return cond(before == "", key, before)
	}
}

func shortened(n int) func(string) string {
	return func(key string) string { return key[:min(n, len(key))] }
}

func onlyASCII(r rune) rune {
	if r > 127 {
		return '?'
	}
	return r
}

func unescaped(key string) string {
	plain, err := url.PathUnescape(key)
	return cond(err == nil, plain, key)
}
