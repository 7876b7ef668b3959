package lock

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// holderWatch waits for changes of a holder's key: until a watch reports one, and at
// most for a poll interval.
type holderWatch struct {
	place
	watches bool
	watcher *kv.Watcher // nil until it is needed, and after it failed
}

func (p place) newHolderWatch() *holderWatch {
	return &holderWatch{place: p, watches: fairlead.CheckRequirements(p.store.Describe(), []fairlead.Requirement{kv.Watch}) == nil}
}

// prepare makes the next wait end with the first change from now on. If that
// fails, only the poll interval ends the wait.
func (w *holderWatch) prepare(ctx context.Context) {
	if !w.watches || w.watcher != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.poll)
	defer cancel()
	if watcher, err := w.store.Watch(ctx, w.name+holderSuffix); err == nil {
		w.watcher = watcher
	}
}

// wait returns after a change, or after a poll interval. It fails only when the
// context ends.
func (w *holderWatch) wait(ctx context.Context) error {
	nap, cancel := context.WithTimeout(ctx, w.jittered())
	defer cancel()
	for nap.Err() == nil && w.watcher != nil {
		events, err := w.watcher.Next(nap)
		if w.concerns(events) {
			return nil
		}
		if err != nil && !isTemporary(err) {
			w.close() // the history is gone, or the store was closed: prepare or the next read reports it
		} else if err != nil {
			break // the backend cannot be reached
		}
	}
	<-nap.Done()
	if ctx.Err() != nil {
		return ended(ctx, nil)
	}
	return nil
}

func (w *holderWatch) concerns(events []kv.Event) bool {
	for _, e := range events {
		if e.Key == w.name+holderSuffix {
			return true
		}
	}
	return false
}

func (w *holderWatch) close() {
	if w.watcher == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.watcher.Close(ctx) // nothing depends on it any more
	w.watcher = nil
}
