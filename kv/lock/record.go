package lock

import (
	"encoding/json"
	"strconv"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// A lock's keys are its name with a suffix, so that no two names share one.
const (
	holderSuffix = "/holder"
	tokenSuffix  = "/token"
)

// record is the value of a holder's key.
type record struct {
	Owner string `json:"owner"`           // new for every call that locks
	Token uint64 `json:"token,omitempty"` // 0 until the lease is complete
	Value []byte `json:"value,omitempty"` // of an election
}

func (r record) encode() []byte {
	b, _ := json.Marshal(r) // strings, numbers and bytes cannot fail
	return b
}

func decodeRecord(e kv.Entry) (record, error) {
	var r record
	if err := json.Unmarshal(e.Value, &r); err != nil || r.Owner == "" {
		return record{}, fairlead.Errorf(fairlead.Invalid, "the key %q does not hold a lock; give locks names that other keys do not begin with", e.Key)
	}
	return r, nil
}

func decodeToken(e kv.Entry) (uint64, error) {
	n, err := strconv.ParseUint(string(e.Value), 10, 64)
	if err != nil || n == 0 {
		return 0, fairlead.Errorf(fairlead.Invalid, "the key %q does not hold the token of a lock; give locks names that other keys do not begin with", e.Key)
	}
	return n, nil
}
