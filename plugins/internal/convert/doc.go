// Package convert converts between the structs of the driver packages and the
// messages of the protocol. Both results share memory with the value that they
// are made from, so a message must be sent at once. Strings that drivers keep
// (names, ids, metadata) are copied: otherwise one of them would keep a whole
// frame in memory.
package convert

import (
	"time"
	"unsafe"
)

// messages makes a message from each element, all in one allocation.
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

// until returns the time from now to a deadline, and 0 for no deadline. For a
// deadline that has passed it returns a nanosecond. A caller that converts
// several deadlines passes the same now to all, so that equal deadlines remain
// equal: otherwise a driver could leave out a part of an atomic batch.
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
