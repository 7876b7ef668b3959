package etcd

import (
	"slices"
	"time"

	"github.com/tidwall/btree"
)

// ledger is what a process knows of the state of a group: what it read, what the
// watch has shown since, and what it has written itself. It may be out of date; a
// write that was decided on an old state is refused. A broadcast has a ledger and
// nothing in etcd.
//
// Messages with the same ordering key form a lane, and only the first one of a
// lane may be handed out.
type ledger struct {
	next    uint64 // the number of the first message that was not taken
	nextRev int64  // the revision of its key; 0: the group does not exist
	damaged bool   // next cannot be read
	seen    int64  // the revision up to which the watch has shown the state
	newest  uint64 // the number of the newest message
	topic   bool   // exists

	entries map[uint64]*entry
	removed map[uint64]int64 // own removals, by revision, that the watch has not shown yet
	lanes   map[string][]uint64
	waiting int // messages that are not the first of their lane
	free    *btree.BTreeG[*entry]

	dueAt func(*entry) time.Time
}

// entry is a pending message.
type entry struct {
	number uint64
	pendingRecord
	rev       int64
	lease     leaseRecord
	leaseRev  int64     // 0: nobody holds the message
	leaseSeen int64     // the revision of the last change of the lease
	notBefore time.Time // a delay that could not be written
	at        time.Time // when it may be handed out, while it is in free
	listed    bool      // in free
}

func newLedger(dueAt func(*entry) time.Time) *ledger {
	return &ledger{
		entries: map[uint64]*entry{}, removed: map[uint64]int64{}, lanes: map[string][]uint64{}, dueAt: dueAt,
		free: btree.NewBTreeGOptions(func(a, b *entry) bool {
			if !a.at.Equal(b.at) {
				return a.at.Before(b.at)
			}
			return a.number < b.number
		}, btree.Options{NoLocks: true}),
	}
}

// setPending notes a pending message, as of a revision.
func (l *ledger) setPending(number uint64, r pendingRecord, rev int64) {
	e := l.entries[number]
	switch {
	case e == nil && rev <= l.removed[number]:
		return
	case e == nil:
		e = &entry{number: number}
		l.entries[number] = e
		e.Key = r.Key
		l.joinLane(e)
	case e.rev >= rev:
		return
	case e.Key != r.Key:
		l.leaveLane(e)
		e.Key = r.Key
		l.joinLane(e)
	}
	e.pendingRecord, e.rev = r, rev
	l.list(e)
}

// setLease notes who holds a pending message, as of a revision.
func (l *ledger) setLease(number uint64, r leaseRecord, rev int64) {
	e := l.entries[number]
	if e == nil || e.leaseSeen >= rev {
		return
	}
	e.lease, e.leaseRev, e.leaseSeen, e.notBefore = r, rev, rev, time.Time{}
	l.list(e)
}

// endLease notes that nobody holds a pending message, as of a revision.
func (l *ledger) endLease(number uint64, rev int64) {
	e := l.entries[number]
	if e == nil || e.leaseSeen >= rev {
		return
	}
	e.lease, e.leaseRev, e.leaseSeen = leaseRecord{}, 0, rev
	l.list(e)
}

// remove notes that this process has settled a message, at a revision.
func (l *ledger) remove(number uint64, rev int64) {
	if rev > l.seen {
		l.removed[number] = rev
	}
	l.forget(number, rev)
}

// showRemoved notes that the watch has shown the removal of a message.
func (l *ledger) showRemoved(number uint64, rev int64) {
	if l.removed[number] <= rev {
		delete(l.removed, number)
	}
	l.forget(number, rev)
}

func (l *ledger) forget(number uint64, rev int64) {
	e := l.entries[number]
	if e == nil || e.rev > rev {
		return
	}
	l.unlist(e)
	l.leaveLane(e)
	delete(l.entries, number)
}

func (l *ledger) joinLane(e *entry) {
	if e.Key == "" {
		return
	}
	lane := l.lanes[e.Key]
	i, _ := slices.BinarySearch(lane, e.number)
	if len(lane) > 0 {
		l.waiting++
		if i == 0 {
			l.unlist(l.entries[lane[0]])
		}
	}
	l.lanes[e.Key] = slices.Insert(lane, i, e.number)
}

func (l *ledger) leaveLane(e *entry) {
	if e.Key == "" {
		return
	}
	lane := l.lanes[e.Key]
	i, found := slices.BinarySearch(lane, e.number)
	if !found {
		return
	}
	if lane = slices.Delete(lane, i, i+1); len(lane) == 0 {
		delete(l.lanes, e.Key)
		return
	}
	l.waiting--
	l.lanes[e.Key] = lane
	if i == 0 {
		l.list(l.entries[lane[0]])
	}
}

// isFirst reports whether no earlier message has the entry's ordering key.
func (l *ledger) isFirst(e *entry) bool { return e.Key == "" || l.lanes[e.Key][0] == e.number }

// list puts an entry at its place in free, if it is the first of its lane.
func (l *ledger) list(e *entry) {
	l.unlist(e)
	if l.isFirst(e) {
		e.at, e.listed = l.dueAt(e), true
		l.free.Set(e)
	}
}

func (l *ledger) unlist(e *entry) {
	if e.listed {
		l.free.Delete(e)
		e.listed = false
	}
}

// due returns the messages that come again, as many as limit.
func (l *ledger) due(now time.Time, limit int) (due []*entry) {
	l.free.Scan(func(e *entry) bool {
		if e.at.After(now) || len(due) == limit {
			return false
		}
		due = append(due, e)
		return true
	})
	return due
}

// nextDue returns when the next message comes again; ok is false if none is to.
func (l *ledger) nextDue() (at time.Time, ok bool) {
	e, ok := l.free.Min()
	if ok {
		at = e.at
	}
	return at, ok
}

// newestPending returns the greatest number of a pending message; 0 for none.
func (l *ledger) newestPending() (newest uint64) {
	for number := range l.entries {
		newest = max(newest, number)
	}
	return newest
}

// heldBy returns the numbers of the messages that an owner holds.
func (l *ledger) heldBy(owner string) (numbers []uint64) {
	for number, e := range l.entries {
		if e.leaseRev != 0 && e.lease.Owner == owner {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// keepDelays keeps the delays of another ledger that could not be written.
func (l *ledger) keepDelays(old *ledger) {
	for number, e := range old.entries {
		if now := l.entries[number]; now != nil && !e.notBefore.IsZero() && now.leaseRev == 0 {
			now.notBefore = e.notBefore
			l.list(now)
		}
	}
}
