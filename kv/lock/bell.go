package lock

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// bell says that a holder's key may have changed: when a watch reports it, and
// at least once in each poll interval.
type bell struct {
	place
	watches bool
	watcher *kv.Watcher // nil until it is needed, and after it failed
}

func (p place) newBell() *bell {
	return &bell{place: p, watches: fairlead.CheckRequirements(p.store.Describe(), []fairlead.Requirement{kv.Watch}) == nil}
}

// prepare makes the next wait end with the first change from now on. If that
// fails, only the poll interval ends the wait.
func (b *bell) prepare(ctx context.Context) {
	if !b.watches || b.watcher != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, b.poll)
	defer cancel()
	if w, err := b.store.Watch(ctx, b.name+holderSuffix); err == nil {
		b.watcher = w
	}
}

// wait fails only when the context ends or the store is closed.
func (b *bell) wait(ctx context.Context) error {
	nap, cancel := context.WithTimeout(ctx, b.jittered())
	defer cancel()
	for nap.Err() == nil && b.watcher != nil {
		events, err := b.watcher.Next(nap)
		if b.rings(events) {
			return nil
		}
		if err != nil && !isTemporary(err) {
			b.close() // the history is gone, or the store was closed: prepare or the next read reports it
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

func (b *bell) rings(events []kv.Event) bool {
	for _, e := range events {
		if e.Key == b.name+holderSuffix {
			return true
		}
	}
	return false
}

func (b *bell) close() {
	if b.watcher == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = b.watcher.Close(ctx) // nothing depends on it any more
	b.watcher = nil
}
