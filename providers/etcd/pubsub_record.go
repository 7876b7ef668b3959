package etcd

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// The state of a group is many small keys, so that no request grows with the
// messages that a group has taken, consumers do not conflict when they settle
// messages, and settling a message deletes keys: etcd refuses every put when its
// database is full, and still deletes.

// pendingRecord says that a group has taken a message, and has not acknowledged
// it.
type pendingRecord struct {
	Key     string `json:"k,omitempty"` // the ordering key
	Attempt int    `json:"a,omitempty"` // of the last delivery
	After   int64  `json:"d,omitempty"` // when a delay ends, in milliseconds since 1970
}

// leaseRecord says who holds a pending message. A pending message without one is
// held by nobody.
type leaseRecord struct {
	Owner string `json:"o"`
	Lease uint64 `json:"l"` // a number that the owner gives to one lease only
	Due   int64  `json:"d"` // when the lease ends, in milliseconds since 1970
}

// release is driver.Release.
const release driver.SettleKind = 4

func encodeRecord(r any) []byte {
	b, _ := json.Marshal(r) // cannot fail: numbers and strings
	return b
}

// decodePending reads a pending message. Of one that cannot be read, only the
// number is known: the message is delivered again, as if for the first time.
func decodePending(b []byte) (r pendingRecord, ok bool) {
	if json.Unmarshal(b, &r) != nil || r.Attempt < 0 {
		return pendingRecord{}, false
	}
	return r, true
}

// decodeLease reads a lease. One that cannot be read has no owner, and has
// ended.
func decodeLease(b []byte) (r leaseRecord, ok bool) {
	if json.Unmarshal(b, &r) != nil || r.Owner == "" {
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
