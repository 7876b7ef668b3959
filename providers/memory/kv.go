package memory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/kv/driver"
)

// table is the data of one store.
type table struct {
	history int

	mu        sync.Mutex
	deleted   bool   // by DeleteStore
	rev       uint64 // of the last change
	items     btree.Map[string, item]
	deadlines *btree.BTreeG[deadline]
	changes   []change // the latest, oldest first
	first     uint64   // revision of the change before changes[0]
	changed   await.Signal
	snapshots snapshots
}

// change is an event with its revision as a number.
type change struct {
	rev uint64
	driver.Event
}

// item is immutable, value included: a snapshot shares it.
type item struct {
	value   []byte
	rev     uint64
	expires time.Time // zero for never
}

// deadline orders keys by the end of their time to live.
type deadline struct {
	at  time.Time
	key string
}

func compareDeadlines(a, b deadline) bool {
	return cmp.Or(a.at.Compare(b.at), strings.Compare(a.key, b.key)) < 0
}

func newTable(history int) *table {
	return &table{
		history:   history,
		deadlines: btree.NewBTreeGOptions(compareDeadlines, btree.Options{NoLocks: true}),
	}
}

// do carries out one operation. The table is locked.
func (t *table) do(op driver.Op, now time.Time) driver.Result {
	if op.Kind == driver.OpGet {
		it, ok := t.items.Get(op.Key)
		if !ok {
			return driver.Result{Err: fairlead.Errorf(fairlead.NotFound, "no key %q", op.Key)}
		}
		return driver.Result{Value: clone(it.value), Revision: format(it.rev)}
	}
	if err := t.allows(op); err != nil {
		return driver.Result{Err: err}
	}
	t.write(op, t.rev+1, now)
	return driver.Result{Revision: format(t.rev)}
}

// allows checks the condition that the operation itself carries.
func (t *table) allows(op driver.Op) error {
	switch op.Kind {
	case driver.OpCreate:
		return t.holds(driver.Condition{Key: op.Key})
	case driver.OpCAS, driver.OpDeleteIf:
		return t.holds(driver.Condition{Key: op.Key, Revision: op.Revision})
	default:
		return nil
	}
}

func (t *table) holds(c driver.Condition) error {
	it, exists := t.items.Get(c.Key)
	switch {
	case c.Revision == "" && exists:
		return fairlead.Errorf(fairlead.Conflict, "key %q exists", c.Key)
	case c.Revision != "" && !exists:
		return fairlead.Errorf(fairlead.Conflict, "key %q does not exist", c.Key)
	case c.Revision != "" && format(it.rev) != c.Revision:
		return fairlead.Errorf(fairlead.Conflict, "key %q has another revision", c.Key)
	}
	return nil
}

// write makes one change under a revision, which the changes of a Txn share.
func (t *table) write(op driver.Op, rev uint64, now time.Time) {
	if op.Kind == driver.OpDelete || op.Kind == driver.OpDeleteIf {
		t.remove(op.Key, rev, driver.DeleteEvent)
		return
	}
	it := item{value: clone(op.Value), rev: rev}
	if op.TTL > 0 {
		it.expires = now.Add(op.TTL)
		t.deadlines.Set(deadline{it.expires, op.Key})
	}
	old, _ := t.items.Set(op.Key, it)
	t.forget(op.Key, old, it.expires)
	t.record(driver.Event{Kind: driver.PutEvent, Key: op.Key, Value: it.value}, rev)
}

func (t *table) remove(key string, rev uint64, kind driver.EventKind) {
	old, existed := t.items.Delete(key)
	if !existed {
		return
	}
	t.forget(key, old, time.Time{})
	t.record(driver.Event{Kind: kind, Key: key}, rev)
}

// forget drops the deadline of a key's former state, unless the new one has
// the very same.
func (t *table) forget(key string, old item, expires time.Time) {
	if !old.expires.IsZero() && !old.expires.Equal(expires) {
		t.deadlines.Delete(deadline{old.expires, key})
	}
}

// record appends a change, and drops old ones once there are twice as many as
// are to be kept. The changes of one revision are dropped together.
func (t *table) record(e driver.Event, rev uint64) {
	t.rev = rev
	e.Revision = format(rev)
	t.changes = append(t.changes, change{rev, e})
	t.changed.Fire()
	if len(t.changes) < 2*t.history {
		return
	}
	cut := len(t.changes) - t.history
	t.first = t.changes[cut-1].rev
	for cut < len(t.changes) && t.changes[cut].rev == t.first {
		cut++
	}
	t.changes = slices.Clone(t.changes[cut:])
}

// expire removes what has reached its deadline. Whoever locks the table calls
// it before looking at anything.
func (t *table) expire(now time.Time) {
	for {
		d, ok := t.deadlines.Min()
		if !ok || d.at.After(now) {
			return
		}
		t.remove(d.key, t.rev+1, driver.ExpireEvent)
	}
}

// nextDeadline returns when the next key expires, or the zero time.
func (t *table) nextDeadline() time.Time {
	d, _ := t.deadlines.Min()
	return d.at
}

func format(rev uint64) driver.Revision {
	return driver.Revision(strconv.FormatUint(rev, 10))
}

// clone returns a copy that is never nil: an empty value exists.
func clone(b []byte) []byte { return append([]byte{}, b...) }

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	if err := p.life.ready(ctx); err != nil {
		return nil, err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	t := p.backend.stores[c.Name]
	if t == nil {
		t = newTable(p.backend.history)
		p.backend.stores[c.Name] = t
	}
	return &store{table: t, life: newLifetime(p.life.ctx)}, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	if err := p.life.ready(ctx); err != nil {
		return nil, err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	return withPrefix(p.backend.stores, prefix), nil
}

func withPrefix[T any](m map[string]T, prefix string) []string {
	var names []string
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// DeleteStore implements the kv driver's Provider. Handles and watchers that
// are open fail from now on: a write that they took would be lost.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	if err := p.life.ready(ctx); err != nil {
		return err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	if t := p.backend.stores[name]; t != nil {
		t.delete()
	}
	delete(p.backend.stores, name)
	return nil
}

// delete ends the table, and wakes its watchers to see that.
func (t *table) delete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deleted = true
	t.changed.Fire()
}

// ended returns an error if the store was deleted. The table is locked.
func (t *table) ended() error {
	if t.deleted {
		return fairlead.Errorf(fairlead.Closed, "the store was deleted; open it again")
	}
	return nil
}

// store is a handle of a table.
type store struct {
	*table
	life lifetime
}

// lock locks the table for a call, after dropping what has expired.
func (s *store) lock(ctx context.Context) (time.Time, error) {
	if err := s.life.ready(ctx); err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	if err := s.ended(); err != nil {
		s.mu.Unlock()
		return time.Time{}, err
	}
	now := time.Now()
	s.expire(now)
	return now, nil
}

// Do implements the kv driver's Store.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	now, err := s.lock(ctx)
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	defer s.mu.Unlock()
	for i, op := range ops {
		results[i] = s.do(op, now)
	}
	return results
}

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	now, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	for _, c := range t.Conditions {
		if err := s.holds(c); err != nil {
			return "", err
		}
	}
	rev := s.rev + 1
	for _, op := range t.Writes {
		s.write(op, rev, now)
	}
	return format(s.rev), nil
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.end()
	return nil
}
