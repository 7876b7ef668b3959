package kv

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/handle"
)

const (
	// updateAttempts bounds the writes that one Update tries.
	updateAttempts = 100
	// An Update pauses after every second conflict, for a random time of at
	// most this much, which doubles with each pause.
	firstUpdatePause   = 2 * time.Millisecond
	longestUpdatePause = 250 * time.Millisecond
)

// Update changes a key by read and compare-and-set. It calls change with the
// present entry, and writes the value that change returns unless another
// writer was faster; then it begins again with the newer entry. For a key that
// does not exist, change gets an entry that does not [Entry.Exists], and the
// write creates the key. Update returns the entry as it was written. It needs
// the claim [CAS].
//
// change may be called several times and must not have other effects. It may
// modify and return the entry's value.
//
// Errors: the errors of change, unchanged and without a write; Conflict after 100
// attempts, each of which lost against another writer; the errors of [Store.Get],
// [Store.Create] and [Store.CAS]. A write whose outcome is unknown is not
// repeated.
func (s *Store) Update(ctx context.Context, key string, change func(Entry) ([]byte, error), opts ...WriteOption) (Entry, error) {
	if change == nil {
		return Entry{}, s.updateError(key, fairlead.Errorf(fairlead.Invalid, "Update needs a function that returns the new value, got nil"))
	}
	if err := s.handle.CheckClaim(CAS); err != nil {
		return Entry{}, s.updateError(key, err)
	}
	current, err := s.getIfExists(ctx, key)
	for attempt := 1; err == nil; attempt++ {
		var value []byte
		if value, err = change(current); err != nil {
			return Entry{}, err
		}
		rev, writeErr := s.replace(ctx, current, value, opts)
		if writeErr == nil {
			return Entry{Key: key, Value: value, Revision: rev}, nil
		}
		current, err = s.prepareRetry(ctx, key, attempt, writeErr)
	}
	return Entry{}, err
}

// getIfExists returns an entry without a revision if the key does not exist.
func (s *Store) getIfExists(ctx context.Context, key string) (Entry, error) {
	e, err := s.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return Entry{Key: key}, nil
	}
	return e, err
}

// replace writes a value if the key still has the state of an entry.
func (s *Store) replace(ctx context.Context, e Entry, value []byte, opts []WriteOption) (Revision, error) {
	if e.Exists() {
		return s.CAS(ctx, e.Key, value, e.Revision, opts...)
	}
	return s.Create(ctx, e.Key, value, opts...)
}

// prepareRetry returns the entry with which to try again after a write has
// failed, or the error that ends the Update.
func (s *Store) prepareRetry(ctx context.Context, key string, attempt int, failed error) (Entry, error) {
	switch {
	case !errors.Is(failed, ErrConflict):
		return Entry{}, failed
	case attempt >= updateAttempts:
		return Entry{}, s.updateError(key, fairlead.Errorf(fairlead.Conflict,
			"other writers were faster in all %d attempts to write the key %q; try later, or share the load between more keys", attempt, key))
	}
	// The entry in a conflict is fresh at first, so every other retry is
	// immediate. After a pause it may be stale: then the write is refused, and
	// its conflict carries a fresh one.
	if attempt%2 == 0 && !pauseBeforeRetry(ctx, attempt/2) {
		return Entry{}, s.updateError(key, fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up after %d attempts, each of which lost against another writer: %w", attempt, ctx.Err()))
	}
	if current, told := Current(failed); told {
		return current, nil
	}
	return s.getIfExists(ctx, key)
}

// pauseBeforeRetry is false if the context ended first.
func pauseBeforeRetry(ctx context.Context, nth int) bool {
	return await.Pause(ctx, rand.N(min(firstUpdatePause<<min(nth-1, 10), longestUpdatePause)))
}

func (s *Store) updateError(key string, err error) error {
	return handle.Annotate(err, "kv.Update", s.handle.Provider, s.object, key)
}
