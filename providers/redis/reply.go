package redis

import (
	"time"

	"fairlead.dev"
)

// These functions read the replies of our own scripts, whose shapes are known.
// A value of another type than the expected one reads as the zero value.

func asList(v any) []any { l, _ := v.([]any); return l }

func asText(v any) string { s, _ := v.(string); return s }

func asNumber(v any) int64 { n, _ := v.(int64); return n }

// elementOf returns the i-th element of a reply, or nil.
func elementOf(l []any, i int) any {
	if i < len(l) {
		return l[i]
	}
	return nil
}

// unexpectedReply is the error for a reply that neither our scripts nor the
// commands that we send should give.
func unexpectedReply(reply any) error {
	return fairlead.Errorf(fairlead.Internal, "unexpected reply of the Redis server: %.200v", reply)
}

// milliseconds rounds up: a time to live, a lease or a wait never ends early.
func milliseconds(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}
