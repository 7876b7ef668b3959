package redis

import (
	"regexp"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

var revisionPattern = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

func checkRevision(r driver.Revision) error {
	if revisionPattern.MatchString(string(r)) {
		return nil
	}
	return invalidf("%q is not a revision of a Redis store", r)
}

// parseKept splits what is stored under a key: see kv_common.lua.
func parseKept(s string) (value []byte, rev driver.Revision, err error) {
	for i := range len(s) {
		if c := s[i]; c == '.' || c == '!' {
			return []byte(s[i+1:]), driver.Revision(s[:i]), nil
		}
	}
	return nil, "", fairlead.Errorf(fairlead.Internal, "the key holds a value that this provider did not write")
}
