package dapr

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// Do implements the kv driver's Store. The keys of all operations are read with
// one request. Each write is a request of its own: Dapr has no request in which
// writes succeed or fail one by one.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	if err := s.life.Err(); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	keys := s.keys(ctx, ops)
	var callers sync.WaitGroup
	for i := range ops {
		op, k := &ops[i], keys[i]
		if len(ops) == 1 || k.prefetched && op.Kind == driver.OpGet {
			results[i] = s.execute(ctx, op, k)
		} else {
			callers.Go(func() { results[i] = s.execute(ctx, op, k) })
		}
	}
	callers.Wait()
	return results
}

// keys returns the keys of the operations in the component. It prefetches them
// if there are several. The request for several keys has no consistency option,
// so it is used only for components whose reads show all earlier writes.
func (s *store) keys(ctx context.Context, ops []driver.Op) []*stateKey {
	component := s.p.current.Load().components[fairlead.KV]
	keys := make([]*stateKey, len(ops))
	for i := range ops {
		keys[i] = &stateKey{p: s.p, name: component.name, key: s.prefix + escapeKey(ops[i].Key)}
	}
	if len(ops) > 1 && linearizableKinds[component.kind] {
		s.p.prefetch(ctx, keys)
	}
	return keys
}

// execute carries out one operation.
func (s *store) execute(ctx context.Context, op *driver.Op, k *stateKey) driver.Result {
	if !op.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, op.Deadline)
		defer cancel()
	}
	if op.Kind == driver.OpGet {
		return s.executeGet(ctx, k)
	}
	return s.executeWrite(ctx, op, k)
}

func (s *store) executeGet(ctx context.Context, k *stateKey) driver.Result {
	r, err := k.readRecord(ctx)
	switch {
	case err != nil:
		return driver.Result{Err: err}
	case !r.exists(time.Now(), s.p.config.clockSkew):
		return driver.Result{Err: fairlead.Errorf(fairlead.NotFound, "the key does not exist")}
	}
	return driver.Result{Value: r.value, Revision: r.revision()}
}

// readRecord returns the record of a key, or nil if the key was never written.
func (k *stateKey) readRecord(ctx context.Context) (*record, error) {
	if err := k.read(ctx); err != nil || len(k.data) == 0 && k.etag == "" {
		return nil, err
	}
	return decodeRecord(k.data)
}

// executeWrite carries out an operation that writes. It reads the key and writes
// it if no other writer did in between. It repeats this until one attempt is
// known to have been made or refused.
func (s *store) executeWrite(ctx context.Context, op *driver.Op, k *stateKey) driver.Result {
	unlock, waited, err := s.p.locks.lock(ctx, k.key)
	if err != nil {
		return driver.Result{Err: fairlead.Errorf(fairlead.CodeOf(err), "%w", err)}
	}
	defer unlock()
	if waited { // another writer may have changed the key
		k.prefetched = false
	}
	previous, err := k.readRecord(ctx)
	for attempt := 0; err == nil; attempt++ {
		if !pauseAfterLostRace(ctx, attempt) {
			return driver.Result{Err: fairlead.ContextError(ctx)}
		}
		now := time.Now()
		if op.Kind == driver.OpDelete && (previous == nil || previous.deleted) {
			return driver.Result{}
		}
		if err := checkPrecondition(op, previous, previous.exists(now, s.p.config.clockSkew)); err != nil {
			return driver.Result{Err: err}
		}
		written := previous.successor(newWriteID())
		written.apply(op, now)
		var made bool
		if made, previous, err = k.replaceRecord(ctx, previous, written); made {
			return written.result()
		}
	}
	return driver.Result{Err: err}
}

// The pause before a write is tried again because another writer was faster.
const (
	racePauseMin = time.Millisecond
	racePauseMax = 50 * time.Millisecond
)

// pauseAfterLostRace waits before the second attempt and every later one, each time
// longer, for a random part of the pause. It returns false if ctx ends first.
func pauseAfterLostRace(ctx context.Context, attempt int) bool {
	if attempt == 0 {
		return true
	}
	longest := min(racePauseMin<<min(attempt-1, 10), racePauseMax)
	return providers.Pause(ctx, rand.N(longest))
}

// checkPrecondition returns a Conflict if the key is not in the state that the
// operation requires.
func checkPrecondition(op *driver.Op, previous *record, exists bool) error {
	switch op.Kind {
	case driver.OpCreate:
		if exists {
			return fairlead.Errorf(fairlead.Conflict, "the key exists")
		}
	case driver.OpCAS, driver.OpDeleteIf:
		if !exists {
			return fairlead.Errorf(fairlead.Conflict, "the key does not exist")
		}
		if previous.revision() != op.Revision {
			return fairlead.Errorf(fairlead.Conflict, "the key has another revision")
		}
	}
	return nil
}

// apply sets what an operation writes.
func (r *record) apply(op *driver.Op, now time.Time) {
	if op.Kind == driver.OpDelete || op.Kind == driver.OpDeleteIf {
		r.deleted = true
		return
	}
	r.value = op.Value
	if op.TTL > 0 {
		r.deadline = now.Add(op.TTL).Add(time.Millisecond - 1).UnixMilli() // rounded up
	}
}

// result returns the result of the operation that wrote the record.
func (r *record) result() driver.Result {
	if r.deleted {
		return driver.Result{}
	}
	return driver.Result{Revision: r.revision()}
}

// replaceRecord writes a record in place of previous, the record that was read.
// It reports whether the write was made. If it was not, and cannot be made any
// more, present is the record that the key holds instead.
func (k *stateKey) replaceRecord(ctx context.Context, previous, written *record) (made bool, present *record, err error) {
	failure := k.write(ctx, written.encode())
	if failure == nil {
		return true, nil, nil
	}
	if fairlead.CodeOf(failure) != fairlead.UnknownOutcome && !isFull(failure) {
		return false, nil, failure
	}
	present, err = k.readRecord(ctx)
	switch {
	case err != nil:
		return false, nil, failure
	case present.containsWrite(written.writeIDs[0]): // an earlier attempt of the component
		return true, nil, nil
	case isFull(failure):
		return false, nil, failure
	case present.isSameWrite(previous), !present.coversWritesSince(previous):
		// The write may still be on its way. Or so many writes came after it that
		// the record no longer names it.
		return false, nil, failure
	}
	return false, present, nil
}
