package etcd

import (
	"slices"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev/pubsub/driver"
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
	key    string // the ordering key
	rev    int64

	lease     leaseRecord
	leaseRev  int64     // 0: there is no record
	leaseSeen int64     // the revision of the last change of the lease
	ours      bool      // there is no record, since this process holds the message in its memory
	since     time.Time // when this process saw that there is no record

	delivery *driver.Delivery // of a small message that was taken ahead
	at       time.Time        // when it may be handed out, while it is in free
	listed   bool             // in free
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
		e = &entry{number: number, since: time.Now()}
		l.entries[number] = e
	case e.rev >= rev:
		return
	default:
		l.unlist(e)
		l.leaveLane(e)
	}
	e.key, e.rev = r.Key, rev
	l.joinLane(e)
	l.list(e)
}

// setLease notes the lease of a pending message, as of a revision.
func (l *ledger) setLease(number uint64, r leaseRecord, rev int64) {
	if e := l.entries[number]; e != nil && e.leaseSeen < rev {
		e.lease, e.leaseRev, e.leaseSeen, e.ours = r, rev, rev, false
		l.list(e)
	}
}

// endLease notes that the lease of a pending message was deleted, as of a revision.
func (l *ledger) endLease(number uint64, rev int64) {
	if e := l.entries[number]; e != nil && e.leaseSeen < rev {
		e.lease, e.leaseRev, e.leaseSeen, e.ours = leaseRecord{Attempt: e.lease.Attempt}, 0, rev, false
		e.since = time.Now()
		l.list(e)
	}
}

// keep notes a lease that this process has in its memory only, as of a revision.
func (l *ledger) keep(number uint64, r leaseRecord, rev int64) {
	if e := l.entries[number]; e != nil && e.leaseSeen <= rev {
		e.lease, e.leaseRev, e.leaseSeen, e.ours = r, 0, rev, true
		l.list(e)
	}
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
	if e.key == "" {
		return
	}
	lane := l.lanes[e.key]
	i, _ := slices.BinarySearch(lane, e.number)
	if len(lane) > 0 {
		l.waiting++
		if i == 0 {
			l.unlist(l.entries[lane[0]])
		}
	}
	l.lanes[e.key] = slices.Insert(lane, i, e.number)
}

func (l *ledger) leaveLane(e *entry) {
	if e.key == "" {
		return
	}
	lane := l.lanes[e.key]
	i, found := slices.BinarySearch(lane, e.number)
	if !found {
		return
	}
	if lane = slices.Delete(lane, i, i+1); len(lane) == 0 {
		delete(l.lanes, e.key)
		return
	}
	l.waiting--
	l.lanes[e.key] = lane
	if i == 0 {
		l.list(l.entries[lane[0]])
	}
}

// isFirst reports whether no earlier message has the entry's ordering key.
func (l *ledger) isFirst(e *entry) bool { return e.key == "" || l.lanes[e.key][0] == e.number }

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
		if e.lease.Owner == owner {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// keepNewer keeps what another ledger knows that is newer than the revision at which
// this one was read, and what it has in memory only.
func (l *ledger) keepNewer(old *ledger, revision int64) {
	for number, rev := range old.removed {
		if rev > revision {
			l.remove(number, rev)
		}
	}
	for number, e := range old.entries {
		if e.rev > revision {
			l.setPending(number, pendingRecord{Key: e.key}, e.rev)
		}
		now := l.entries[number]
		switch {
		case now == nil:
		case e.ours && now.leaseRev == 0:
			l.keep(number, e.lease, max(e.leaseSeen, now.leaseSeen))
		case e.leaseSeen > revision && e.leaseRev != 0:
			l.setLease(number, e.lease, e.leaseRev)
		}
	}
	if old.nextRev > revision {
		l.next, l.nextRev, l.damaged = old.next, old.nextRev, old.damaged
	}
}

// countDue counts the messages that can be handed out, up to a limit.
func (l *ledger) countDue(now time.Time, limit int) (n int) {
	l.free.Scan(func(e *entry) bool {
		if e.at.After(now) || n == limit {
			return false
		}
		n++
		return true
	})
	return n
}
