package dapr

import (
	"fmt"
	"strings"
)

// escapeKey returns a key as it is stored. Dapr refuses "||". Control characters
// are escaped too.
func escapeKey(key string) string {
	if !strings.ContainsFunc(key, needsEscape) {
		return key
	}
	var b strings.Builder
	for _, r := range key {
		if needsEscape(r) {
			fmt.Fprintf(&b, "%%%02X", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func needsEscape(r rune) bool { return r == '|' || r == '%' || r < ' ' || r == 0x7f }
