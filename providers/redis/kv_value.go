package redis

import (
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

func checkRevision(r driver.Revision) error {
	if isStreamID(string(r)) {
		return nil
	}
	return invalidf("%.100q is not a revision of a Redis store; pass the revision of an entry, an event or a page", r)
}

func negativeTTLError(ttl time.Duration) error {
	return invalidf("the time to live %v is negative; 0 is none", ttl)
}

// maxHeadBytes is how much of a stored value the scripts read to find its revision.
const maxHeadBytes = 64

// parseKept splits what is stored under a key, as readHead in kv_common.lua does.
func parseKept(s string) (value []byte, rev driver.Revision, err error) {
	end := strings.IndexAny(s[:min(len(s), maxHeadBytes)], ".!")
	if end < 0 || !isHead(s[:end]) {
		return nil, "", fairlead.Errorf(fairlead.Internal, "another program has written the value; put or delete the key")
	}
	return []byte(s[end+1:]), driver.Revision(s[:end]), nil
}

// isHead reports whether s is two decimal numbers with a hyphen between them.
func isHead(s string) bool {
	ms, seq, ok := strings.Cut(s, "-")
	return ok && isDigits(ms) && isDigits(seq)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
