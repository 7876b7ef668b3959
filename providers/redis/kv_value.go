package redis

import (
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

// parseKept splits what is stored under a key: see kv_common.lua.
func parseKept(s string) (value []byte, rev driver.Revision, err error) {
	for i := range len(s) {
		if c := s[i]; c == '.' || c == '!' {
			return []byte(s[i+1:]), driver.Revision(s[:i]), nil
		}
	}
	return nil, "", fairlead.Errorf(fairlead.Internal, "another program has written the value; put or delete the key")
}
