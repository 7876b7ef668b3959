package etcd

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// groupState is the progress of a group in its topic. The messages before Next were
// handed out or wait in a lane. The messages in Pending were handed out and are not
// yet acknowledged. The state is one value in etcd, changed by compare-and-set; a
// broadcast has it in memory.
type groupState struct {
	Next    uint64              `json:"next"`
	Leases  uint64              `json:"leases,omitempty"` // number of leases given so far
	Pending []pending           `json:"pending,omitempty"`
	Lanes   map[string][]uint64 `json:"lanes,omitempty"` // waiting messages by ordering key, as long as one with the key is pending
}

// pending is a message that was handed out or is to come again.
type pending struct {
	Number  uint64 `json:"n"`
	Key     string `json:"k,omitempty"`
	Attempt int    `json:"a,omitempty"`
	Owner   string `json:"o,omitempty"` // empty: no consumer holds it
	Lease   uint64 `json:"l,omitempty"`
	Due     int64  `json:"d,omitempty"` // when the lease or the delay ends, in milliseconds since 1970
}

func decodeState(b []byte) (st groupState, err error) {
	if err := json.Unmarshal(b, &st); err != nil {
		return st, fairlead.Errorf(fairlead.Internal, "the group's state cannot be read: %w", err)
	}
	return st, nil
}

func (st groupState) encode() []byte {
	b, _ := json.Marshal(st) // cannot fail: numbers and strings
	return b
}

// oldestNeeded returns the number of the oldest message that the group still
// needs.
func (st groupState) oldestNeeded() uint64 {
	oldest := st.Next
	for _, p := range st.Pending {
		oldest = min(oldest, p.Number)
	}
	for _, waiting := range st.Lanes {
		if len(waiting) > 0 {
			oldest = min(oldest, waiting[0])
		}
	}
	return oldest
}

// countWaiting counts the messages in lanes.
func (st groupState) countWaiting() (n int) {
	for _, waiting := range st.Lanes {
		n += len(waiting)
	}
	return n
}

// consumer is the handle that takes messages.
type consumer struct {
	name  string
	lease time.Duration
	skew  time.Duration   // by which the clock of another consumer may differ
	held  map[uint64]bool // its leases that are not settled
}

// dueAt returns when a pending message may be handed out again to this consumer. A
// message is due at once if the consumer holds it without knowing, since the answer
// was lost.
func (c *consumer) dueAt(p pending) time.Time {
	due := time.UnixMilli(p.Due)
	switch {
	case p.Owner == "":
		return due
	case p.Owner != c.name:
		return due.Add(c.skew)
	case !c.held[p.Lease]:
		return time.Time{}
	default:
		return due
	}
}

// dueIndexes returns the indexes of the messages that come again, the oldest
// first.
func (st groupState) dueIndexes(c *consumer, now time.Time, limit int) (indexes []int) {
	for i, p := range st.Pending {
		if !c.dueAt(p).After(now) {
			indexes = append(indexes, i)
		}
	}
	slices.SortFunc(indexes, func(a, b int) int { return int(int64(st.Pending[a].Number) - int64(st.Pending[b].Number)) })
	return indexes[:min(limit, len(indexes))]
}

// nextDue returns when the next message comes again; zero if none is pending.
func (st groupState) nextDue(c *consumer) (next time.Time) {
	for _, p := range st.Pending {
		if at := c.dueAt(p); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// leaseTo leases a pending message to a consumer.
func (st *groupState) leaseTo(i int, c *consumer, now time.Time) *pending {
	p := &st.Pending[i]
	st.Leases++
	p.Attempt++
	p.Owner, p.Lease, p.Due = c.name, st.Leases, now.Add(c.lease).UnixMilli()
	return p
}

// addNext takes the message at Next: it becomes pending, or it waits for a
// pending one with the same key.
func (st *groupState) addNext(number uint64, key string) (index int, ok bool) {
	st.Next = number + 1
	if key != "" {
		waiting, busy := st.Lanes[key]
		if st.Lanes == nil {
			st.Lanes = map[string][]uint64{}
		}
		if busy {
			st.Lanes[key] = append(waiting, number)
			return 0, false
		}
		st.Lanes[key] = nil
	}
	st.Pending = append(st.Pending, pending{Number: number, Key: key})
	return len(st.Pending) - 1, true
}

// removePending removes a pending message. The next one with its key becomes
// pending.
func (st *groupState) removePending(i int, now time.Time) {
	key := st.Pending[i].Key
	st.Pending = slices.Delete(st.Pending, i, i+1)
	waiting, ok := st.Lanes[key]
	switch {
	case !ok:
	case len(waiting) == 0:
		delete(st.Lanes, key)
	default:
		st.Lanes[key] = waiting[1:]
		st.Pending = append(st.Pending, pending{Number: waiting[0], Key: key, Due: now.UnixMilli()})
	}
}

// settle settles one delivery.
func (st *groupState) settle(c *consumer, s driver.Settlement, now time.Time) error {
	lease, err := parseToken(s.Token)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(st.Pending, func(p pending) bool { return p.Owner == c.name && p.Lease == lease })
	if i < 0 {
		return fairlead.Errorf(fairlead.Conflict, "the lease of this delivery was lost or is settled")
	}
	p := &st.Pending[i]
	switch s.Kind {
	case driver.Ack:
		st.removePending(i, now)
	case driver.Nack:
		p.Owner, p.Due = "", now.Add(s.Delay).UnixMilli()
	case driver.Extend:
		d := s.Delay
		if d == 0 {
			d = c.lease
		}
		p.Due = now.Add(d).UnixMilli()
	}
	return nil
}

// giveBack makes the messages that a consumer holds come again at once.
func (st *groupState) giveBack(c *consumer, now time.Time) {
	for i := range st.Pending {
		if p := &st.Pending[i]; p.Owner == c.name {
			p.Owner, p.Due = "", now.UnixMilli()
		}
	}
}

// A token is the consumer's name and the lease.

func (c *consumer) token(lease uint64) string { return strconv.FormatUint(lease, 10) }

func parseToken(token string) (lease uint64, err error) {
	lease, err = strconv.ParseUint(token, 10, 64)
	if err != nil {
		return 0, invalid("token %q is not one of a delivery", token)
	}
	return lease, nil
}

func parseNumber(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == strings.TrimSpace(s)
}
