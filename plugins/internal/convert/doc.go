// Package convert makes messages of the protocol of the structs of the driver
// packages, and the other way round. What comes from a message shares its
// memory with it, and a message that is made with what it is made of: it is for
// being sent at once. Strings that drivers keep (names, ids, metadata) are
// copies: else one of them would keep a whole frame.
package convert

import (
	"time"
	"unsafe"
)

// messages makes a message of every element, all in one allocation.
func messages[A, M any](in []A, set func(*M, A)) []*M {
	if len(in) == 0 {
		return nil
	}
	all, out := make([]M, len(in)), make([]*M, len(in))
	for i, a := range in {
		out[i] = &all[i]
		set(out[i], a)
	}
	return out
}

// raw returns the bytes of a string, which must not be changed.
func raw[S ~string](s S) []byte {
	if s == "" {
		return nil
	}
	return unsafe.Slice(unsafe.StringData(string(s)), len(s))
}

// each applies f to every element.
func each[A, B any](in []A, f func(A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}

// until returns what is left of the time to a deadline, and 0 for none. A
// deadline that has passed leaves a nanosecond. Whoever converts several takes
// the time once: those that are equal remain so, else a driver would leave out
// a part of what belongs together.
func until(now, deadline time.Time) int64 {
	if deadline.IsZero() {
		return 0
	}
	return max(int64(deadline.Sub(now)), 1)
}

// in is the reverse of until.
func in(now time.Time, nanos int64) time.Time {
	if nanos <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(nanos))
}
