package kv

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// WatchOption changes where a watch begins.
type WatchOption func(*driver.WatchRequest) error

// After makes a watch begin behind a revision, which an entry, an event or a
// page carried. Without it a watch begins with what happens after Watch
// returned.
func After(rev Revision) WatchOption {
	return func(r *driver.WatchRequest) error {
		if rev == "" {
			return fairlead.Errorf(fairlead.Invalid, "After needs a revision, got the empty one; leave the option out to watch from now")
		}
		r.After = rev
		return nil
	}
}

// Watch watches the keys that start with prefix, all for "". Changes come in
// the order in which they were made; see [Watcher]. It needs the claim
// [Watch]. The context bounds the opening alone; the watcher lives until it,
// or the store, is closed.
//
// Errors: Compacted if the history after the revision is no longer kept.
func (s *Store) Watch(ctx context.Context, prefix string, opts ...WatchOption) (*Watcher, error) {
	ctx, call := s.ops.watch.Start(ctx)
	w, err := s.watch(ctx, prefix, opts)
	return w, call.End(err)
}

func (s *Store) watch(ctx context.Context, prefix string, opts []WatchOption) (*Watcher, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if err := s.handle.Needs(Watch); err != nil {
		return nil, err
	}
	r := driver.WatchRequest{Prefix: prefix}
	for _, opt := range opts {
		if err := opt(&r); err != nil {
			return nil, err
		}
	}
	if err := checkUTF8("prefix", prefix); err != nil {
		return nil, err
	}
	d, err := s.driver.Watch(ctx, r)
	if err != nil {
		return nil, err
	}
	w := &Watcher{store: s, driver: d}
	w.life, w.end = context.WithCancel(s.life)
	return w, nil
}

// Watcher delivers changes.
//
// Where [WatchEvery] is claimed, every change comes once; otherwise changes of
// one key may be merged, and its last state always comes. A watcher survives a
// restart of the backend: it goes on without loss, or fails with ErrCompacted.
type Watcher struct {
	store   *Store
	driver  driver.Watcher
	life    context.Context // ends with Close or with the store
	end     context.CancelFunc
	closing atomic.Bool
	mu      sync.Mutex // held by the one Next that runs
}

// Next blocks until there are changes and returns them, at least one. The
// changes of one Txn come together where [WatchTxn] is claimed. Concurrent
// calls take turns.
//
// Errors: Compacted if changes were lost, after which the watcher is at its
// end: list, and watch again from the page's revision. Closed likewise. After
// any other error, as Unavailable while the backend is away, call again.
func (w *Watcher) Next(ctx context.Context) ([]Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, err := w.next(ctx)
	return events, fairlead.Annotate(err, "kv.Watcher.Next", w.store.handle.Provider)
}

func (w *Watcher) next(ctx context.Context) ([]Event, error) {
	if w.life.Err() != nil {
		return nil, fairlead.Errorf(fairlead.Closed, "the watcher is closed")
	}
	if err := w.store.handle.Ready(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	events, err := w.driver.Next(ctx)
	if err != nil && w.life.Err() != nil {
		err = fairlead.Errorf(fairlead.Closed, "the watcher was closed")
	}
	return events, err
}

// All yields every change until the context ends, the watcher is closed, or
// changes were lost; the error that ended it is yielded last. It goes on
// through passing errors.
func (w *Watcher) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			events, err := w.Next(ctx)
			if err != nil && (ctx.Err() != nil || fairlead.CodeOf(err) != fairlead.Unavailable) {
				yield(Event{}, err)
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Close ends the watcher; a Next that waits fails with Closed. Calls after
// the first return nil.
func (w *Watcher) Close(ctx context.Context) error {
	if w.life.Err() != nil || !w.closing.CompareAndSwap(false, true) {
		return nil
	}
	w.end()
	err := w.driver.Close(ctx)
	return fairlead.Annotate(err, "kv.Watcher.Close", w.store.handle.Provider)
}
