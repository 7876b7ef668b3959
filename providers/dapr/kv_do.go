package dapr

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// Do implements the kv driver's Store. Dapr has no request for operations that
// succeed and fail one by one: each is a request of its own, all at the same
// time.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	var wg sync.WaitGroup
	for i := range ops[1:] {
		wg.Go(func() { results[i+1] = s.do(ctx, &ops[i+1]) })
	}
	results[0] = s.do(ctx, &ops[0]) // the only one, most often
	wg.Wait()
	return results
}

// do carries out one operation.
func (s *store) do(ctx context.Context, op *driver.Op) driver.Result {
	if s.life.Err() != nil {
		return driver.Result{Err: providers.Errorf(providers.Closed, "the store's handle is closed")}
	}
	if !op.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, op.Deadline)
		defer cancel()
	}
	if op.Kind == driver.OpGet {
		return s.get(ctx, op.Key)
	}
	return s.write(ctx, op)
}

func (s *store) get(ctx context.Context, key string) driver.Result {
	r, err := s.cell(key).record(ctx)
	switch {
	case err != nil:
		return driver.Result{Err: err}
	case !r.exists(time.Now(), s.p.config.clockSkew):
		return driver.Result{Err: providers.Errorf(providers.NotFound, "the key does not exist")}
	}
	return driver.Result{Value: r.value, Revision: r.revision()}
}

// record reads the record of a key; nil if it was never written.
func (c *cell) record(ctx context.Context) (*record, error) {
	if err := c.read(ctx); err != nil || len(c.data) == 0 && c.etag == "" {
		return nil, err
	}
	return decodeRecord(c.data)
}

// write carries out an operation that writes: it reads the key, and writes if
// nobody else has in between, again and again until one attempt is known to
// have been made or refused.
func (s *store) write(ctx context.Context, op *driver.Op) driver.Result {
	c := s.cell(op.Key)
	unlock, err := s.p.locks.lock(ctx, c.key)
	if err != nil {
		return driver.Result{Err: providers.Errorf(providers.CodeOf(err), "%w", err)}
	}
	defer unlock()
	base, err := c.record(ctx)
	for err == nil {
		now := time.Now()
		if op.Kind == driver.OpDelete && (base == nil || base.deleted) {
			return driver.Result{}
		}
		if err := refuses(op, base, base.exists(now, s.p.config.clockSkew)); err != nil {
			return driver.Result{Err: err}
		}
		fresh := base.next(s.p.newName())
		fresh.fill(op, now)
		var made bool
		if made, base, err = c.replace(ctx, base, fresh); made {
			return fresh.result()
		}
	}
	return driver.Result{Err: err}
}

// refuses is the Conflict of an operation with what the key holds, or nil.
func refuses(op *driver.Op, base *record, exists bool) error {
	switch op.Kind {
	case driver.OpCreate:
		if exists {
			return providers.Errorf(providers.Conflict, "the key exists")
		}
	case driver.OpCAS, driver.OpDeleteIf:
		if !exists {
			return providers.Errorf(providers.Conflict, "the key does not exist")
		}
		if base.revision() != op.Revision {
			return providers.Errorf(providers.Conflict, "the key has another revision")
		}
	}
	return nil
}

// fill sets what an operation writes.
func (r *record) fill(op *driver.Op, now time.Time) {
	if op.Kind == driver.OpDelete || op.Kind == driver.OpDeleteIf {
		r.deleted = true
		return
	}
	r.value = op.Value
	if op.TTL > 0 {
		r.deadline = now.Add(op.TTL + time.Millisecond - 1).UnixMilli()
	}
}

// result answers the operation that wrote the record.
func (r *record) result() driver.Result {
	if r.deleted {
		return driver.Result{}
	}
	return driver.Result{Revision: r.revision()}
}

// replace writes a record in place of base, which is what the cell was read to
// hold. It reports whether the write was made. If it was not, and never will
// be, present is what the key holds instead.
func (c *cell) replace(ctx context.Context, base, fresh *record) (made bool, present *record, err error) {
	failure := c.write(ctx, fresh.encode())
	if failure == nil {
		return true, nil, nil
	}
	if providers.CodeOf(failure) != providers.UnknownOutcome {
		return false, nil, failure
	}
	present, err = c.record(ctx)
	switch {
	case err != nil:
		return false, nil, failure
	case present.has(fresh.names[0]):
		return true, nil, nil
	case present.same(base), !present.remembers(base):
		// It may still be on its way, or so many came behind it that it was
		// forgotten.
		return false, nil, failure
	}
	return false, present, nil
}

// newName names a write.
func (p *provider) newName() (n name) {
	copy(n[:8], p.instance[:])
	binary.BigEndian.PutUint64(n[8:], p.writes.Add(1))
	return n
}
