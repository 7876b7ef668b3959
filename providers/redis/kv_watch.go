package redis

import (
	"context"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/kv/driver"
)

const (
	watchBlock = time.Second // longest wait on the server
	// watchPatience is how long Next goes on trying while the server cannot
	// be reached, before it says so.
	watchPatience = time.Second
	watchRetry    = 50 * time.Millisecond
	fetchEntries  = 256
	fetchBytes    = 4 << 20
)

// watcher reads the log of a store. The log holds every change, each under
// its revision, in order. The watcher remembers the last entry that it has
// read, and reads from that entry on, inclusive: while the entry is there,
// nothing behind it can be missing. If it is not, it was trimmed, or the
// server lost it together with the writes that it tells of.
type watcher struct {
	s      *store
	prefix string
	pos    string
	count  int   // entries to ask for
	final  error // the end of the watcher
	life   context.Context
	end    context.CancelFunc
}

// Watch implements the kv driver's Store.
func (s *store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if err := s.closed(); err != nil {
		return nil, err
	}
	w := &watcher{s: s, prefix: r.Prefix, pos: string(r.After), count: 16}
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	w.life, w.end = context.WithCancel(s.life)
	return w, nil
}

// start fixes the place from which on w watches.
func (w *watcher) start(ctx context.Context) error {
	if w.pos != "" {
		if err := checkRevision(driver.Revision(w.pos)); err != nil {
			return err
		}
		_, err := w.entries(ctx, 1)
		return err
	}
	if err := w.s.create(ctx); err != nil {
		return err
	}
	w.pos = *w.s.seen.Load()
	return nil
}

// Close implements the kv driver's Watcher.
func (w *watcher) Close(context.Context) error {
	w.end()
	return nil
}

// Next implements the kv driver's Watcher.
func (w *watcher) Next(ctx context.Context) ([]driver.Event, error) {
	joined, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	until := time.Now().Add(watchPatience)
	for {
		if w.final != nil {
			return nil, w.final
		}
		events, err := w.step(joined)
		switch {
		case len(events) > 0:
			return events, nil
		case w.life.Err() != nil:
			w.final = fairlead.Errorf(fairlead.Closed, "the watcher is closed")
		case err == nil:
			until = time.Now().Add(watchPatience)
		case fairlead.CodeOf(err) == fairlead.Compacted:
			w.final = err
		case fairlead.CodeOf(err) != fairlead.Unavailable, time.Now().After(until):
			return nil, err
		default:
			await.Pause(joined, watchRetry)
		}
	}
}

// step returns the next events. If there are none, it waits for some first;
// there may still be none for this watcher.
func (w *watcher) step(ctx context.Context) ([]driver.Event, error) {
	entries, err := w.entries(ctx, w.count)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return w.take(entries), nil
	}
	next, err := w.s.sweep(ctx)
	if err != nil {
		return nil, err
	}
	return nil, w.block(ctx, next)
}

// entries returns up to n entries behind the watcher's place.
func (w *watcher) entries(ctx context.Context, n int) ([]any, error) {
	cmd := goredis.NewSliceCmd(ctx, "xrange", w.s.log, w.pos, "+", "count", n+1)
	if err := w.s.p.read(ctx, w.s.log, cmd); err != nil {
		return nil, err
	}
	list := cmd.Val()
	if len(list) == 0 || entryID(list[0]) != w.pos {
		return nil, fairlead.Errorf(fairlead.Compacted,
			"the store's history does not hold the revision %s any more: it was trimmed (see the parameter \"watch-history\"), or lost with the server's data or with the store", w.pos)
	}
	return list[1:], nil
}

// take moves behind the entries and returns their events for this watcher.
func (w *watcher) take(entries []any) []driver.Event {
	var events []driver.Event
	bytes := 0
	for _, e := range entries {
		w.pos = entryID(e)
		_, fields := entryParts(e)
		for i := 2; i+1 < len(fields); i += 2 { // the first pair is the call's name
			name, _ := fields[i].(string)
			value, _ := fields[i+1].(string)
			bytes += len(name) + len(value)
			if ev, ok := event(name, value, w.pos); ok && strings.HasPrefix(ev.Key, w.prefix) {
				events = append(events, ev)
			}
		}
	}
	w.count = max(1, min(fetchEntries, fetchBytes/(1+bytes/len(entries))))
	return events
}

var eventKinds = map[byte]driver.EventKind{'P': driver.PutEvent, 'D': driver.DeleteEvent, 'X': driver.ExpireEvent}

func event(name, value, revision string) (driver.Event, bool) {
	if name == "" {
		return driver.Event{}, false
	}
	e := driver.Event{Kind: eventKinds[name[0]], Key: name[1:], Revision: driver.Revision(revision)}
	if e.Kind == driver.PutEvent {
		e.Value = []byte(value)
	}
	return e, e.Kind != 0
}

func entryID(e any) string {
	id, _ := entryParts(e)
	return id
}

// entryParts returns the id and the fields of an entry of a stream.
func entryParts(e any) (id string, fields []any) {
	if parts, ok := e.([]any); ok && len(parts) == 2 {
		id, _ = parts[0].(string)
		fields, _ = parts[1].([]any)
	}
	return id, fields
}

// block waits until there is something behind the watcher's place, or the next
// key expires, but not for long: a log that was deleted wakes nobody.
func (w *watcher) block(ctx context.Context, next time.Duration) error {
	if next == 0 {
		return nil
	}
	d := min(watchBlock, w.s.p.config.readTimeout/2)
	if next > 0 {
		d = min(d, next)
	}
	cmd := goredis.NewCmd(ctx, "xread", "block", max(1, d.Milliseconds()), "count", 1, "streams", w.s.log, w.pos)
	if err := w.s.p.wait(ctx, w.s.log, cmd); err != nil {
		return err
	}
	if err := cmd.Err(); err != goredis.Nil {
		return mapCallErr(ctx, err, false)
	}
	return nil
}
