package memory

import (
	"context"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// maxEvents bounds how many events one Next returns. The changes of one
// revision come together even if they exceed it.
const maxEvents = 1000

// watcher reads the changes of a table from a revision on.
type watcher struct {
	table    *table
	life     *providers.Lifetime
	prefix   string
	position uint64 // changes up to this revision were delivered or skipped
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if _, err := s.lockTable(ctx); err != nil {
		return nil, err
	}
	defer s.table.mu.Unlock()
	position, err := s.table.watchPosition(r.After)
	if err != nil {
		return nil, err
	}
	return &watcher{table: s.table, life: s.life.Child("watcher"), prefix: r.Prefix, position: position}, nil
}

// watchPosition returns the revision after which a watch starts. An empty
// revision stands for the present one.
func (t *table) watchPosition(after driver.Revision) (uint64, error) {
	position := t.revision
	if after != "" {
		var err error
		position, err = strconv.ParseUint(string(after), 10, 64)
		if err != nil || position > t.revision {
			return 0, fairlead.Errorf(fairlead.Invalid, "revision %q is not from this store; pass a revision that it returned", after)
		}
	}
	return position, t.checkKept(position)
}

// checkKept returns a Compacted error if changes after a revision were dropped.
func (t *table) checkKept(revision uint64) error {
	if revision < t.history.compacted {
		return fairlead.Errorf(fairlead.Compacted, "the changes after this revision are no longer kept; list the store, and watch from the page's revision")
	}
	return nil
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	err := w.life.Check(ctx)
	for err == nil {
		events, changed, expiry, failure := w.readEvents()
		if len(events) > 0 || failure != nil {
			return events, failure
		}
		err = w.life.Wait(ctx, changed, expiry)
	}
	return nil, err
}

// readEvents returns the events since the last call. If there are none, it
// returns what to wait for: a change, or the time at which the next key expires.
func (w *watcher) readEvents() (events []driver.Event, changed <-chan struct{}, expiry time.Time, err error) {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	w.table.removeExpired(time.Now())
	events, err = w.advance()
	return events, w.table.changed.Next(), w.table.deadlines.earliest(), err
}

// advance moves the position forward and returns the events that it passes. The
// table is locked.
func (w *watcher) advance() ([]driver.Event, error) {
	if err := w.table.checkKept(w.position); err != nil {
		return nil, err
	}
	var events []driver.Event
	for _, c := range w.table.history.after(w.position) {
		if len(events) >= maxEvents && c.revision != w.position {
			break
		}
		w.position = c.revision
		if strings.HasPrefix(c.Key, w.prefix) {
			events = append(events, c.copyEvent())
		}
	}
	return events, nil
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(context.Context) error {
	w.life.End()
	return nil
}
