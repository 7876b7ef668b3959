package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// storeHandle is a handle of a store, which lasts when the store is deleted: it
// continues with the store of the same name that is created after it. A write
// creates it; a read does not, and fails with Unavailable while there is none.
// Revisions of the deleted store are of no use: they are a Conflict, and Compacted
// for a watcher.
type storeHandle struct {
	p    *provider
	name string
	life *providers.Lifetime

	finding sync.Mutex // held by find

	mu      sync.Mutex
	current *store
	checked time.Time // when current was last known to exist
}

// recheckEvery is how often a handle whose keys do not exist, or do not have the
// revisions that are expected, looks whether its store still exists: the stream of a
// store that was created since answers as well.
const recheckEvery = time.Second

// errStoreDeleted: the stream is gone, or belongs to a store that was created since.
var errStoreDeleted = errors.New("the store was deleted; a write creates it again")

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	h := &storeHandle{p: p, name: c.Name, life: p.life.Child("store")}
	var err error
	if h.current, err = h.open(ctx); err != nil {
		h.life.End()
		return nil, err
	}
	if err := p.handles.Add(h); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	return h, nil
}

// open finds the stream of the store, and creates it if need be.
func (h *storeHandle) open(ctx context.Context) (*store, error) {
	info, err := h.p.openStream(ctx, h.p.newStoreStream(kindKV, h.name, formKV))
	if err != nil {
		return nil, err
	}
	return h.p.newStore(info, h.life), nil
}

// store returns the store as it was found last.
func (h *storeHandle) store() *store {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

// recheck reports whether it is time to look whether the store still exists.
func (h *storeHandle) recheck() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.checked) > recheckEvery
}

// mayBeDeleted reports whether an operation failed, without an effect, as it does
// when the store was deleted.
func mayBeDeleted(err error) bool {
	return err != nil && (isNoResponder(err) || isAPI(err, codeStreamNotFound) || errors.Is(err, errStoreDeleted))
}

// find looks for the store that was created after old was deleted. It reports
// whether there is one; create says whether to create it.
func (h *storeHandle) find(ctx context.Context, old *store, create bool) bool {
	h.finding.Lock()
	defer h.finding.Unlock()
	if h.store() != old {
		return true
	}
	info, err := h.p.streamInfo(ctx, old.stream)
	gone := isAPI(err, codeStreamNotFound)
	if err != nil && !(gone && create) {
		return false
	}
	found := old
	if err != nil || info.epoch() != old.epoch {
		if found, err = h.open(ctx); err != nil {
			return false
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current, h.checked = found, time.Now()
	return found != old
}

// Do implements the kv driver's Store.
func (h *storeHandle) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	s := h.store()
	results := s.Do(ctx, ops)
	var again []int
	create, recheck := false, h.recheck()
	for i, r := range results {
		code := fairlead.CodeOf(r.Err)
		if mayBeDeleted(r.Err) || recheck && (code == fairlead.NotFound || code == fairlead.Conflict) {
			again = append(again, i)
			create = create || ops[i].Kind == driver.OpPut || ops[i].Kind == driver.OpCreate
		}
	}
	if len(again) == 0 || !h.find(ctx, s, create) {
		return results
	}
	todo := make([]driver.Op, len(again))
	for n, i := range again {
		todo[n] = ops[i]
	}
	for n, r := range h.store().Do(ctx, todo) {
		results[again[n]] = r
	}
	return results
}

// retryFound calls f with the store, and again if it was deleted and there is one
// that was created since.
func retryFound[T any](ctx context.Context, h *storeHandle, create bool, f func(*store) (T, error)) (T, error) {
	s := h.store()
	result, err := f(s)
	if mayBeDeleted(err) && h.find(ctx, s, create) {
		return f(h.store())
	}
	return result, err
}

// Txn implements the kv driver's Store.
func (h *storeHandle) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	return retryFound(ctx, h, true, func(s *store) (driver.Revision, error) { return s.Txn(ctx, t) })
}

// List implements the kv driver's Store.
func (h *storeHandle) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	return retryFound(ctx, h, false, func(s *store) (driver.Page, error) { return s.List(ctx, r) })
}

// Watch implements the kv driver's Store.
func (h *storeHandle) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	return retryFound(ctx, h, false, func(s *store) (driver.Watcher, error) { return s.Watch(ctx, r) })
}

// Close implements the kv driver's Store.
func (h *storeHandle) Close(context.Context) error {
	h.p.handles.Remove(h)
	h.life.End()
	return nil
}

// errDeleted is the error of an operation on a store that was deleted.
func (s *store) errDeleted() error {
	return fairlead.Errorf(fairlead.Unavailable, "%w", errStoreDeleted)
}
