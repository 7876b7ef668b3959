package memory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// maxEvents bounds what one call of Next returns; the changes of one
// revision still come together.
const maxEvents = 1000

// watcher reads the changes of a table from a revision on.
type watcher struct {
	*table
	life   lifetime
	prefix string
	after  uint64 // everything up to this revision was delivered or passed over
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if _, err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	after := s.rev
	if r.After != "" {
		n, err := strconv.ParseUint(string(r.After), 10, 64)
		if err != nil || n > s.rev {
			return nil, fairlead.Errorf(fairlead.Invalid, "revision %q was never one of this store; pass a revision that it returned", r.After)
		}
		after = n
	}
	if after < s.first {
		return nil, compacted()
	}
	return &watcher{table: s.table, life: newLifetime(s.life.ctx), prefix: r.Prefix, after: after}, nil
}

func compacted() error {
	return fairlead.Errorf(fairlead.Compacted, "the changes after this revision are no longer kept; list, and watch from the page's revision")
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	err := w.life.ready(ctx)
	for err == nil {
		w.mu.Lock()
		w.expire(time.Now())
		events, lost := w.take()
		changed, next := w.changed.Next(), w.nextDeadline()
		w.mu.Unlock()
		if len(events) > 0 || lost != nil {
			return events, lost
		}
		err = w.life.wait(ctx, changed, next)
	}
	return nil, err
}

// take returns what happened since the last call, and moves on. The table is
// locked.
func (w *watcher) take() ([]driver.Event, error) {
	if err := w.ended(); err != nil {
		return nil, err
	}
	if w.after < w.first {
		return nil, compacted()
	}
	from, _ := slices.BinarySearchFunc(w.changes, w.after+1, func(c change, rev uint64) int {
		return cmp.Compare(c.rev, rev)
	})
	var events []driver.Event
	for _, c := range w.changes[from:] {
		if len(events) >= maxEvents && c.rev != w.after {
			break
		}
		w.after = c.rev
		if strings.HasPrefix(c.Key, w.prefix) {
			events = append(events, c.copy())
		}
	}
	return events, nil
}

// copy returns the event with a value that the caller may change.
func (c change) copy() driver.Event {
	if c.Kind == driver.PutEvent {
		c.Value = clone(c.Value)
	}
	return c.Event
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(context.Context) error {
	w.life.end()
	return nil
}
