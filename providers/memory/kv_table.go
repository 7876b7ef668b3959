package memory

import (
	"strconv"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// table holds the data of one store. Its methods are called with mu locked,
// except those for the catalog.
type table struct {
	mu        sync.Mutex
	deleted   bool   // by DeleteStore, and not written since
	revision  uint64 // of the last change
	items     btree.Map[string, item]
	deadlines deadlines
	history   history
	snapshots snapshots
	changed   providers.Signal // a change was recorded
}

// item is the present state of one key. It is immutable, value included:
// snapshots share it.
type item struct {
	value    []byte
	revision uint64
	expires  time.Time // zero for never
}

func newTable(historySize int) *table {
	return &table{deadlines: newDeadlines(), history: history{size: historySize}}
}

// execute carries out one operation.
func (t *table) execute(op driver.Op, now time.Time) driver.Result {
	if op.Kind == driver.OpGet {
		return t.get(op.Key)
	}
	if err := t.checkPrecondition(op); err != nil {
		return driver.Result{Err: err, Current: t.presentEntry(op.Key)}
	}
	t.applyWrite(op, t.revision+1, now)
	return driver.Result{Revision: formatRevision(t.revision)}
}

// executeTxn applies the writes under one revision if all conditions hold.
func (t *table) executeTxn(txn driver.Txn, now time.Time) (driver.Revision, error) {
	for _, c := range txn.Conditions {
		if err := t.checkCondition(c); err != nil {
			return "", err
		}
	}
	revision := t.revision + 1
	for _, op := range txn.Writes {
		t.applyWrite(op, revision, now)
	}
	return formatRevision(t.revision), nil
}

// errNoKey is never changed: the portable layer copies it.
var errNoKey = fairlead.Errorf(fairlead.NotFound, "the key does not exist")

// get reads one key.
func (t *table) get(key string) driver.Result {
	it, exists := t.items.Get(key)
	if !exists {
		return driver.Result{Err: errNoKey}
	}
	return driver.Result{Value: copyBytes(it.value), Revision: formatRevision(it.revision)}
}

// presentEntry returns the state of a key, without a revision if it does not
// exist.
func (t *table) presentEntry(key string) *driver.Entry {
	it, exists := t.items.Get(key)
	if !exists {
		return &driver.Entry{Key: key}
	}
	return &driver.Entry{Key: key, Value: copyBytes(it.value), Revision: formatRevision(it.revision)}
}

// checkPrecondition checks the condition that the kind of an operation implies.
func (t *table) checkPrecondition(op driver.Op) error {
	switch op.Kind {
	case driver.OpCreate:
		return t.checkCondition(driver.Condition{Key: op.Key})
	case driver.OpCAS, driver.OpDeleteIf:
		return t.checkCondition(driver.Condition{Key: op.Key, Revision: op.Revision})
	default:
		return nil
	}
}

// checkCondition returns a Conflict if the key is not in the required state.
func (t *table) checkCondition(c driver.Condition) error {
	it, exists := t.items.Get(c.Key)
	switch {
	case c.Revision == "" && exists:
		return fairlead.Errorf(fairlead.Conflict, "key %q exists", c.Key)
	case c.Revision != "" && !exists:
		return fairlead.Errorf(fairlead.Conflict, "key %q does not exist", c.Key)
	case c.Revision != "" && formatRevision(it.revision) != c.Revision:
		return fairlead.Errorf(fairlead.Conflict, "key %q has another revision", c.Key)
	}
	return nil
}

// applyWrite makes one change. The changes of a Txn have the same revision.
func (t *table) applyWrite(op driver.Op, revision uint64, now time.Time) {
	switch op.Kind {
	case driver.OpDelete, driver.OpDeleteIf:
		t.removeItem(op.Key, driver.DeleteEvent, revision)
	default:
		t.putItem(op, revision, now)
	}
}

// putItem writes the value and the time to live of an operation.
func (t *table) putItem(op driver.Op, revision uint64, now time.Time) {
	written := item{value: copyBytes(op.Value), revision: revision}
	if op.TTL > 0 {
		written.expires = now.Add(op.TTL)
	}
	t.deleted = false
	replaced, _ := t.items.Set(op.Key, written)
	t.deadlines.replace(op.Key, replaced.expires, written.expires)
	t.recordChange(driver.Event{Kind: driver.PutEvent, Key: op.Key, Value: written.value}, revision)
}

// removeItem removes a key, if it exists.
func (t *table) removeItem(key string, kind driver.EventKind, revision uint64) {
	removed, existed := t.items.Delete(key)
	if !existed {
		return
	}
	t.deadlines.replace(key, removed.expires, time.Time{})
	t.recordChange(driver.Event{Kind: kind, Key: key}, revision)
}

// removeExpired removes the keys whose deadline has passed. Every call does
// this before it reads anything from the table.
func (t *table) removeExpired(now time.Time) {
	for {
		key, expired := t.deadlines.expiredKey(now)
		if !expired {
			return
		}
		t.removeItem(key, driver.ExpireEvent, t.revision+1)
	}
}

// recordChange appends a change to the history and wakes the watchers.
func (t *table) recordChange(e driver.Event, revision uint64) {
	t.revision = revision
	t.history.append(e, revision)
	t.changed.Fire()
}

// isDeleted implements deletable.
func (t *table) isDeleted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deleted
}

// undelete implements deletable.
func (t *table) undelete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deleted = false
}

// delete implements deletable. It deletes all keys as one change.
func (t *table) delete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeExpired(time.Now())
	revision := t.revision + 1
	for _, key := range t.items.Keys() {
		t.removeItem(key, driver.DeleteEvent, revision)
	}
	t.snapshots.drop()
	t.deleted = true
}

func formatRevision(revision uint64) driver.Revision {
	return driver.Revision(strconv.FormatUint(revision, 10))
}

// copyBytes returns a copy that is never nil: an empty value exists.
func copyBytes(b []byte) []byte { return append([]byte{}, b...) }
