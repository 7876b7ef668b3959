package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	maxWatchBlock = time.Second // longest wait on the server
	// A watcher asks for this many entries, and fewer of large ones.
	firstFetchEntries = 16
	maxFetchEntries   = 256
	maxFetchBytes     = 4 << 20
)

// watcher reads the log of a store. The log holds every change under its
// revision, in order. The watcher remembers the last entry that it has read,
// and reads from that entry on, inclusive: while the entry is there, no entry
// after it can be missing. If it is gone, it was trimmed, or the server has
// lost it together with the writes that it records.
type watcher struct {
	s          *store
	life       *providers.Lifetime
	prefix     string
	position   string // the ID of the last entry read
	fetchCount int    // entries to ask for
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if err := s.life.Err(); err != nil {
		return nil, err
	}
	w := &watcher{s: s, prefix: r.Prefix, position: string(r.After), fetchCount: firstFetchEntries}
	if err := w.fixPosition(ctx); err != nil {
		return nil, err
	}
	w.life = s.life.Child("watcher")
	return w, nil
}

// fixPosition checks the position to resume from, or takes the newest one.
func (w *watcher) fixPosition(ctx context.Context) error {
	if w.position != "" {
		if err := checkRevision(driver.Revision(w.position)); err != nil {
			return err
		}
		_, err := w.fetchEntries(ctx, 1)
		return err
	}
	if err := w.s.createIfMissing(ctx); err != nil {
		return err
	}
	w.position = *w.s.knownRevision.Load()
	return nil
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(context.Context) error {
	w.life.End()
	return nil
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	events, err := providers.Retry(ctx, w.life, providers.Patience{}, w.fetchOrWait)
	return events, w.life.WaitError(ctx, err)
}

// fetchOrWait returns the next events. If there are none, it waits until there
// may be some, and is not done.
func (w *watcher) fetchOrWait(ctx context.Context) (events []driver.Event, done bool, err error) {
	entries, err := w.fetchEntries(ctx, w.fetchCount)
	switch {
	case fairlead.CodeOf(err) == fairlead.Compacted:
		w.life.Fail(err)
		return nil, false, err
	case err != nil:
		return nil, false, err
	case len(entries) > 0:
		events = w.consumeEntries(entries)
		return events, len(events) > 0, nil
	}
	next, err := w.s.sweepExpired(ctx)
	if err != nil {
		return nil, false, err
	}
	return nil, false, w.awaitEntry(ctx, next)
}

// fetchEntries returns up to n entries after the watcher's position.
func (w *watcher) fetchEntries(ctx context.Context, n int) ([]any, error) {
	reply, err := w.s.p.query(ctx, w.s.keys.log, goredis.NewCmd(ctx, "xrange", w.s.keys.log, w.position, "+", "count", n+1))
	if err != nil {
		return nil, err
	}
	entries := asList(reply)
	if len(entries) == 0 || entryID(entries[0]) != w.position {
		return nil, fairlead.Errorf(fairlead.Compacted,
			"the store's history no longer holds the revision %s: it was trimmed (see the setting \"watch-history\"), or lost with the server's data or with the store", w.position)
	}
	return entries[1:], nil
}

// consumeEntries moves the position to the last of the entries, and returns
// their events for this watcher.
func (w *watcher) consumeEntries(entries []any) []driver.Event {
	var events []driver.Event
	bytes := 0
	for _, e := range entries {
		id, fields := splitEntry(e)
		w.position = id
		events = appendEvents(events, w.prefix, id, fields)
		bytes += sizeOf(fields)
	}
	w.fetchCount = max(1, min(maxFetchEntries, maxFetchBytes/(1+bytes/len(entries))))
	return events
}

// awaitEntry waits until there is an entry after the watcher's position, or the
// next key expires. It does not wait for long: the deletion of a log wakes no
// one.
func (w *watcher) awaitEntry(ctx context.Context, next time.Duration) error {
	if next == 0 {
		return nil
	}
	d := min(maxWatchBlock, w.s.p.config.readTimeout/2)
	if next > 0 {
		d = min(d, next)
	}
	return w.s.p.block(ctx, d, w.s.keys.log, w.position)
}
