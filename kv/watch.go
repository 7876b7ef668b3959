package kv

import (
	"context"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/handle"
	"fairlead.dev/kv/driver"
)

// WatchOption changes where a watch begins.
type WatchOption func(*watchOptions) error

type watchOptions struct{ after Revision }

// After makes a watch begin after a revision, which an entry, an event or a
// page carried. Without it, a watch begins with the first change after Watch
// has returned.
func After(rev Revision) WatchOption {
	return func(o *watchOptions) error {
		if rev == "" {
			return fairlead.Errorf(fairlead.Invalid, "After needs a revision, got the empty one; leave the option out to watch from now")
		}
		o.after = rev
		return nil
	}
}

func resolveWatchOptions(opts []WatchOption) (watchOptions, error) {
	var o watchOptions
	for i, opt := range opts {
		if opt == nil {
			return watchOptions{}, handle.NilOption("kv.Watch", i)
		}
		if err := opt(&o); err != nil {
			return watchOptions{}, err
		}
	}
	return o, nil
}

// Watch watches the keys that start with prefix, or all for "". Changes come
// in the order in which they were made; see [Watcher]. It needs the claim
// [Watch]. The context bounds the call to Watch only: the watcher lives until
// it is closed, or its store is.
//
// Errors: Compacted if the history after the revision is no longer kept.
func (s *Store) Watch(ctx context.Context, prefix string, opts ...WatchOption) (*Watcher, error) {
	ctx, call := s.telemetry.watch.Start(ctx)
	w, err := s.openWatcher(ctx, prefix, opts)
	return w, call.End(err)
}

func (s *Store) openWatcher(ctx context.Context, prefix string, opts []WatchOption) (*Watcher, error) {
	if err := s.checkUsable(); err != nil {
		return nil, err
	}
	if err := s.handle.CheckClaim(Watch); err != nil {
		return nil, err
	}
	o, err := resolveWatchOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := validateUTF8("prefix", prefix); err != nil {
		return nil, err
	}
	d, err := s.driver.Watch(ctx, driver.WatchRequest{Prefix: prefix, After: driver.Revision(o.after)})
	if err != nil {
		return nil, err
	}
	w := &Watcher{store: s, driver: d, turn: make(chan struct{}, 1)}
	w.life, w.endLife = context.WithCancel(s.life)
	return w, nil
}

// Watcher delivers changes.
//
// Where [WatchEvery] is claimed, every change comes once. Otherwise changes of
// one key may be merged, and the key's last state always comes. After a
// restart of the backend a watcher continues without loss, or fails with
// ErrCompacted.
//
// All methods may be called concurrently.
type Watcher struct {
	store   *Store
	driver  driver.Watcher
	life    context.Context // ends with Close or with the store
	endLife context.CancelFunc
	closing atomic.Bool
	turn    chan struct{} // holds an element while a Next runs
}

// Next blocks until there are changes and returns them, at least one. The
// changes of one Txn come together where [WatchTxn] is claimed. Concurrent
// calls take turns.
//
// Errors: Compacted if changes were lost. The watcher has then ended: list, and
// watch again from the page's revision. Closed if the watcher or its store is
// closed. Unsupported while a requirement of the store does not hold; a Next that
// waits ends with it. After any other error, for example Unavailable while the backend
// cannot be reached, call Next again.
func (w *Watcher) Next(ctx context.Context) ([]Event, error) {
	changes, err := w.readChanges(ctx)
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(changes))
	for i, e := range changes {
		events[i] = eventOf(e)
	}
	return events, nil
}

func (w *Watcher) readChanges(ctx context.Context) ([]driver.Event, error) {
	changes, err := w.takeTurn(ctx)
	return changes, handle.Annotate(err, "kv.Watcher.Next", w.store.handle.Provider, w.store.object, "")
}

// takeTurn calls awaitChanges when no other call does.
func (w *Watcher) takeTurn(ctx context.Context) ([]driver.Event, error) {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fairlead.ContextError(ctx)
	case <-w.life.Done():
		return nil, fairlead.Errorf(fairlead.Closed, "the watcher was closed")
	}
	defer func() { <-w.turn }()
	return w.awaitChanges(ctx)
}

// awaitChanges reads from the driver until it has changes, the context ends,
// or the watcher or its store is closed.
func (w *Watcher) awaitChanges(caller context.Context) ([]driver.Event, error) {
	if w.life.Err() != nil {
		return nil, fairlead.Errorf(fairlead.Closed, "the watcher is closed")
	}
	if err := w.store.handle.Requirements.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := w.store.handle.Requirements.WhileHeld(caller)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	changes, err := w.driver.Next(ctx)
	if err != nil {
		err = w.watchError(caller, err)
	}
	return changes, err
}

// watchError returns what an error of the driver means to a caller: Closed if the
// watcher was closed, the context's error if the context has ended. A Canceled or
// DeadlineExceeded of something else is a condition that passes.
func (w *Watcher) watchError(ctx context.Context, err error) error {
	if w.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the watcher was closed")
	}
	if lost := w.store.handle.Requirements.Check(); lost != nil {
		return lost
	}
	code := fairlead.CodeOf(err)
	switch code {
	case fairlead.Canceled, fairlead.DeadlineExceeded, fairlead.Unavailable:
	default:
		return err
	}
	if ended := fairlead.ContextError(ctx); ended != nil {
		return ended
	}
	if code == fairlead.Unavailable {
		return err
	}
	return fairlead.Errorf(fairlead.Unavailable, "the provider interrupted a watch: %v", err)
}

// All yields every change until the context ends, the watcher is closed, changes
// were lost, or a requirement or a permission is lost. It yields the error that ended
// it last. Every other error may pass: All continues after a pause of at most two
// seconds, without yielding it.
func (w *Watcher) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for failures := 0; ; {
			changes, err := w.readChanges(ctx)
			switch {
			case err == nil:
				failures = 0
			case fairlead.ContextError(ctx) != nil || endsWatch(err):
				yield(Event{}, err)
				return
			default:
				failures++
				pauseAfterFailure(ctx, failures)
			}
			for _, e := range changes {
				if !yield(eventOf(e), nil) {
					return
				}
			}
		}
	}
}

// endsWatch reports whether watching cannot go on after an error.
func endsWatch(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Compacted, fairlead.Closed, fairlead.Invalid, fairlead.Unsupported, fairlead.PermissionDenied:
		return true
	}
	return false
}

// pauseAfterFailure waits longer with every failure in a row, up to 2 s.
func pauseAfterFailure(ctx context.Context, failures int) {
	longest := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	await.Pause(ctx, longest/2+rand.N(longest/2))
}

// Close ends the watcher. A Next that waits fails with Closed. Calls after the
// first return nil.
func (w *Watcher) Close(ctx context.Context) error {
	if w.life.Err() != nil || !w.closing.CompareAndSwap(false, true) {
		return nil
	}
	w.endLife()
	err := w.driver.Close(ctx)
	return handle.Annotate(err, "kv.Watcher.Close", w.store.handle.Provider, w.store.object, "")
}
