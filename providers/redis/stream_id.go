package redis

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// isStreamID reports whether s is the ID of a stream's entry as Redis writes
// it, "MS-SEQUENCE".
func isStreamID(s string) bool {
	ms, seq, ok := strings.Cut(s, "-")
	return ok && isUint(ms) && isUint(seq)
}

// isUint reports whether s is a 64-bit number in its shortest form.
func isUint(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// lastIDBefore returns the last possible ID before all IDs of a millisecond.
func lastIDBefore(ms int64) string {
	if ms <= 0 {
		return "0-0"
	}
	return strconv.FormatInt(ms-1, 10) + "-" + strconv.FormatUint(math.MaxUint64, 10)
}

// millisecondOf returns the Unix time in milliseconds, or the nearest one that an
// ID can have.
func millisecondOf(t time.Time) int64 {
	switch seconds := t.Unix(); {
	case seconds < 0:
		return 0
	case seconds >= math.MaxInt64/1000:
		return math.MaxInt64
	default:
		return t.UnixMilli()
	}
}

// timeOfID returns the time in a stream ID: when the server stored the entry.
func timeOfID(id string) time.Time {
	digits, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
