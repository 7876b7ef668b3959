package dapr

import (
	"fmt"
	"strings"
)

// escapeKey returns a key as it is stored. Dapr takes no "||"; control
// characters would not do anybody good.
func escapeKey(key string) string {
	if !strings.ContainsFunc(key, escaped) {
		return key
	}
	var b strings.Builder
	for _, r := range key {
		if escaped(r) {
			fmt.Fprintf(&b, "%%%02X", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func escaped(r rune) bool { return r == '|' || r == '%' || r < ' ' || r == 0x7f }
