package lock

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// Mutex is a lock of a name in a store.
type Mutex struct{ place }

// place is where a lock is kept.
type place struct {
	settings
	store *kv.Store
	name  string
}

// New returns the lock of that name in a store, which stays the caller's and has
// to be open as long as the lock is used. Nothing is sent.
//
// Errors: Invalid and TooLarge for a name or option; Unsupported if the store
// lacks CAS or TTL.
func New(store *kv.Store, name string, opts ...Option) (*Mutex, error) {
	p, err := newPlace(store, name, opts)
	if err != nil {
		return nil, fairlead.Annotate(err, "lock.New", "")
	}
	return &Mutex{p}, nil
}

func newPlace(store *kv.Store, name string, opts []Option) (place, error) {
	if store == nil {
		return place{}, fairlead.Errorf(fairlead.Invalid, "the store is nil; open one with kv.Open")
	}
	if err := checkName(store, name); err != nil {
		return place{}, err
	}
	s, err := newSettings(store, opts)
	return place{settings: s, store: store, name: name}, err
}

// Lock waits until the lock is free, takes it, and keeps it until
// [Lease.Release]. It continues through failures of the backend that pass.
//
// Errors: the code of the context's error if the context ends first; errors of
// the store that do not pass, for example PermissionDenied.
func (m *Mutex) Lock(ctx context.Context) (*Lease, error) {
	l, err := m.acquire(ctx, nil)
	return l, fairlead.Annotate(err, "lock.Lock", "")
}

// TryLock takes the lock if it is free, and fails with Conflict if it is not.
// It does not continue through failures: Unavailable, UnknownOutcome.
func (m *Mutex) TryLock(ctx context.Context) (*Lease, error) {
	l, err := m.tryAcquire(ctx)
	return l, fairlead.Annotate(err, "lock.TryLock", "")
}

// readHolder returns the record at the holder's key; ok is false if there is none.
func (p place) readHolder(ctx context.Context) (e kv.Entry, r record, ok bool, err error) {
	e, err = p.store.Get(ctx, p.name+holderSuffix)
	switch fairlead.CodeOf(err) {
	case 0:
		r, err = decodeRecord(e)
		return e, r, err == nil, err
	case fairlead.NotFound:
		return kv.Entry{}, record{}, false, nil
	default:
		return kv.Entry{}, record{}, false, err
	}
}
