package etcd

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// The state of a group is many small keys: no request grows with the messages
// that a group has taken, and consumers that settle messages do not conflict.
//
// A full database refuses every put, and still deletes. So everything that
// happens to a message can be a delete as well: its acknowledgement deletes both
// keys, and a process that deletes the lease holds the message without a record,
// in its memory. Other processes wait as long as a lease lasts, and then take a
// message without a lease, by a put.

// pendingRecord says that a group has taken a message, and has not acknowledged
// it. It is never changed.
type pendingRecord struct {
	Key string `json:"k,omitempty"` // the ordering key
}

// leaseRecord says who holds a pending message.
type leaseRecord struct {
	Owner   string `json:"o,omitempty"` // empty: nobody
	Lease   uint64 `json:"l,omitempty"` // a number that the owner gives to one lease only
	Due     int64  `json:"d,omitempty"` // when the lease ends, or the delay of a message that nobody holds, in milliseconds since 1970
	Attempt int    `json:"a,omitempty"` // of the last delivery
}

func encodeRecord(r any) []byte {
	b, _ := json.Marshal(r) // cannot fail: numbers and strings
	return b
}

// decodePending reads a pending message. Of one that cannot be read, only the
// number is known.
func decodePending(b []byte) (r pendingRecord, ok bool) {
	if json.Unmarshal(b, &r) != nil {
		return pendingRecord{}, false
	}
	return r, true
}

// decodeLease reads a lease. One that cannot be read is nobody's.
func decodeLease(b []byte) (r leaseRecord, ok bool) {
	if json.Unmarshal(b, &r) != nil || r.Attempt < 0 {
		return leaseRecord{}, false
	}
	return r, true
}

// milliseconds returns t in milliseconds since 1970, rounded up.
func milliseconds(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// A token is the number of the message and the lease.

func formatToken(number, lease uint64) string {
	return strconv.FormatUint(number, 10) + "." + strconv.FormatUint(lease, 10)
}

func parseToken(token string) (number, lease uint64, err error) {
	n, l, _ := strings.Cut(token, ".")
	number, ok1 := parseNumber(n)
	lease, ok2 := parseNumber(l)
	if !ok1 || !ok2 {
		return 0, 0, invalid("token %q is not one of a delivery", token)
	}
	return number, lease, nil
}

// parseNumber reads a number in the one form in which it is written.
func parseNumber(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// errLeaseLost is the error of a settlement whose lease has ended.
func errLeaseLost() error {
	return fairlead.Errorf(fairlead.Conflict, "the lease of this delivery was lost or is settled")
}

// lostMessages returns the error for messages that a subscription should have
// received.
func lostMessages(first, last uint64) error {
	return fairlead.Errorf(fairlead.Compacted, "the messages %d to %d are gone", first, last)
}

// unreadableMessage returns the error for a message that is skipped.
func unreadableMessage(number uint64) error {
	return fairlead.Errorf(fairlead.Internal, "message %d of the topic holds something that this provider did not write, and is skipped", number)
}

// newDelivery returns the delivery of a message under a lease.
func newDelivery(d driver.Delivery, number uint64, attempt int, lease uint64) driver.Delivery {
	d.Position = strconv.FormatUint(number, 10)
	if d.ID == "" {
		d.ID = d.Position
	}
	d.Token, d.Attempt = formatToken(number, lease), attempt
	return d
}
