package nats

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// A Delete writes a marker, for which a full server has no room. There, the key's
// message is removed instead, which makes room. Three things replace the marker:
//
//   - Watchers that are connected get a message of core NATS, upon which they look at
//     the key.
//   - The stream's metadata say up to which sequence keys were deleted so. A watcher
//     that resumes before it gets Compacted.
//   - The handle writes the marker as soon as there is room.

// metaUnmarked is the last sequence of the stream when a key was last deleted
// without a marker.
const metaUnmarked = "fairlead-unmarked"

// removeKey carries out a Delete or DeleteIf on a full server.
func (s *store) removeKey(ctx context.Context, op driver.Op) (r driver.Result) {
	for {
		m, err := s.readKey(ctx, op.Key)
		if err == nil && op.Kind == driver.OpDeleteIf {
			err = s.checkCondition(driver.Condition{Key: op.Key, Revision: op.Revision}, m)
		}
		if err != nil || m == nil || m.state() != driver.PutEvent {
			r.Err = err
			return r
		}
		if err := s.noteUnmarked(ctx); err != nil {
			r.Err = err
			return r
		}
		removed, err := s.removeMessage(ctx, m.Seq)
		if err != nil {
			r.Err = err
			return r
		}
		if removed {
			s.announceRemoval(op.Key)
			s.restoreNote(ctx)
			return r
		}
		if !providers.Pause(ctx, conflictPause) { // the key has changed
			r.Err = s.errorAtEnd(ctx, false)
			return r
		}
	}
}

// noteAttempts bounds how often a note is written that other processes overwrite.
const noteAttempts = 10

// noteUnmarked makes the stream's metadata say up to which sequence keys may have been
// deleted without a marker. The server replaces the whole configuration, and compares
// nothing: of two processes that write at once, one may put back what it had read
// before. So the note is read again until it is there, or a higher one.
func (s *store) noteUnmarked(ctx context.Context) error {
	var last uint64
	for attempt := range noteAttempts {
		info, err := s.p.streamInfo(ctx, s.stream)
		switch {
		case err != nil:
			return err
		case info.epoch() != s.epoch:
			return s.errDeleted()
		}
		if attempt == 0 {
			last = info.State.Last
		}
		if info.unmarked() >= last && last > 0 {
			return nil
		}
		if attempt > 0 && !providers.Pause(ctx, rand.N(conflictPause)) {
			return fairlead.ContextError(ctx)
		}
		if err := s.writeNote(ctx, last); err != nil {
			return err
		}
	}
	return fairlead.Errorf(fairlead.Unavailable, "the server is full, and other processes overwrote the note of a Delete in the metadata of the stream %q %d times; try again", s.stream, noteAttempts)
}

// restoreNote writes the note again if another process, which had read the
// configuration before, has overwritten it since. The Delete is done in any case.
func (s *store) restoreNote(ctx context.Context) {
	if err := s.noteUnmarked(ctx); err != nil {
		s.p.logger.Debug("nats: looking for the note of a deleted key failed", slog.String("stream", s.stream), slog.Any("error", err))
	}
}

// writeNote raises the note in the stream's metadata to a sequence.
func (s *store) writeNote(ctx context.Context, last uint64) error {
	return s.p.updateStream(ctx, s.stream, func(config map[string]json.RawMessage) error {
		meta := map[string]string{}
		if err := json.Unmarshal(config["metadata"], &meta); err != nil {
			return err
		}
		if noted, err := strconv.ParseUint(meta[metaUnmarked], 10, 64); err != nil || noted < last {
			meta[metaUnmarked] = strconv.FormatUint(last, 10)
		}
		var err error
		config["metadata"], err = json.Marshal(meta)
		return err
	})
}

// unmarked returns the sequence up to which keys may have been deleted without a
// marker; 0 if none was.
func (i streamInfo) unmarked() uint64 {
	last, err := strconv.ParseUint(i.Config.Metadata[metaUnmarked], 10, 64)
	if err != nil {
		return 0
	}
	return last
}

// mayHideRemovals reports whether a watcher that was last connected at a sequence may
// have missed keys that were deleted without a marker.
func (i streamInfo) mayHideRemovals(seq uint64) bool {
	last := i.unmarked()
	return last > 0 && seq <= last
}

// announceRemoval tells the watchers of a key that was deleted without a marker,
// and keeps the key for writeMarkers.
func (s *store) announceRemoval(key string) {
	_ = s.p.nc.Publish(s.removals+keySubject(key), nil) // the marker follows
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unmarked == nil {
		s.unmarked = map[string]bool{}
	}
	s.unmarked[key] = true
}

// writeMarkers writes the markers for which there was no room.
func (s *store) writeMarkers(ctx context.Context) {
	s.mu.Lock()
	keys := make([]string, 0, len(s.unmarked))
	for key := range s.unmarked {
		keys = append(keys, key)
	}
	s.mu.Unlock()
	for _, key := range keys {
		m := s.writeRequest(driver.Op{Kind: driver.OpDelete, Key: key})
		expect(m, 0) // the key may have been written since
		_, err := s.publish(ctx, m)
		if err != nil && !isConflict(err) {
			s.p.logger.Debug("nats: writing a marker of a deleted key failed", slog.String("stream", s.stream), slog.Any("error", err))
			return
		}
		s.mu.Lock()
		delete(s.unmarked, key)
		s.mu.Unlock()
	}
}

// subscribeRemovals returns the messages about keys with the prefix that are deleted
// without a marker.
func (s *store) subscribeRemovals(prefix string) (chan *natsgo.Msg, *natsgo.Subscription, error) {
	c := make(chan *natsgo.Msg, removalsKept)
	sub, err := s.p.nc.ChanSubscribe(s.removals+prefixFilter(prefix), c)
	return c, sub, mapErr(err, false)
}

// removalsKept is how many removals a watcher may be late with; it gets the markers
// of others.
const removalsKept = 1024

// removalEvents returns the events of keys that are said to be deleted, and are.
func (w *watcher) removalEvents(ctx context.Context, msgs []*natsgo.Msg) (events []driver.Event, err error) {
	for _, m := range msgs {
		key, err := subjectKey(strings.TrimPrefix(m.Subject, w.s.removals))
		if err != nil || !strings.HasPrefix(key, w.prefix) {
			continue // another program's message
		}
		last, err := w.s.readKey(ctx, key)
		if err != nil {
			return nil, err
		}
		if last == nil {
			events = append(events, driver.Event{Kind: driver.DeleteEvent, Key: key, Revision: w.s.formatRevision(revision{seq: w.pos, kind: deleted})})
		}
	}
	return events, nil
}

// updateStream changes the configuration of a stream.
func (p *provider) updateStream(ctx context.Context, stream string, change func(config map[string]json.RawMessage) error) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	var info struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := p.callAPI(ctx, "STREAM.INFO."+stream, nil, &info, false); err != nil {
		return err
	}
	if err := change(info.Config); err != nil {
		return fairlead.Errorf(fairlead.Internal, "the configuration of the stream %q cannot be read: %w", stream, err)
	}
	return p.callAPI(ctx, "STREAM.UPDATE."+stream, info.Config, nil, false) // repeating it does no harm
}

// updateTimeout bounds a change of configuration.
const updateTimeout = 10 * time.Second
