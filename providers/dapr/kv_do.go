package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// Do implements the kv driver's Store. The keys of all operations are read by one
// request; each write is one of its own, as Dapr has none for writes that succeed
// and fail one by one.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	if s.life.Err() != nil {
		for i := range results {
			results[i].Err = fairlead.Errorf(fairlead.Closed, "the store's handle is closed")
		}
		return results
	}
	cells := s.cells(ctx, ops)
	var callers sync.WaitGroup
	for i := range ops {
		op, c := &ops[i], cells[i]
		if len(ops) == 1 || c.known && op.Kind == driver.OpGet {
			results[i] = s.do(ctx, op, c)
		} else {
			callers.Go(func() { results[i] = s.do(ctx, op, c) })
		}
	}
	callers.Wait()
	return results
}

// cells returns the places of the operations' keys, which are read ahead if
// there are several. The request for several keys does not say how fresh the
// answer has to be: it is for components whose answers always are.
func (s *store) cells(ctx context.Context, ops []driver.Op) []*cell {
	component := s.p.current.Load().components[fairlead.KV]
	cells := make([]*cell, len(ops))
	for i := range ops {
		cells[i] = &cell{p: s.p, name: component.name, key: s.prefix + escapeKey(ops[i].Key)}
	}
	if len(ops) > 1 && strong[component.kind] {
		s.p.readAhead(ctx, cells)
	}
	return cells
}

// do carries out one operation.
func (s *store) do(ctx context.Context, op *driver.Op, c *cell) driver.Result {
	if !op.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, op.Deadline)
		defer cancel()
	}
	if op.Kind == driver.OpGet {
		return s.get(ctx, c)
	}
	return s.write(ctx, op, c)
}

func (s *store) get(ctx context.Context, c *cell) driver.Result {
	r, err := c.record(ctx)
	switch {
	case err != nil:
		return driver.Result{Err: err}
	case !r.exists(time.Now(), s.p.config.clockSkew):
		return driver.Result{Err: fairlead.Errorf(fairlead.NotFound, "the key does not exist")}
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
func (s *store) write(ctx context.Context, op *driver.Op, c *cell) driver.Result {
	unlock, waited, err := s.p.locks.lock(ctx, c.key)
	if err != nil {
		return driver.Result{Err: fairlead.Errorf(fairlead.CodeOf(err), "%w", err)}
	}
	defer unlock()
	if waited { // for somebody who has written
		c.known = false
	}
	base, err := c.record(ctx)
	for err == nil {
		now := time.Now()
		if op.Kind == driver.OpDelete && (base == nil || base.deleted) {
			return driver.Result{}
		}
		if err := refuses(op, base, base.exists(now, s.p.config.clockSkew)); err != nil {
			return driver.Result{Err: err}
		}
		fresh := base.next(newName())
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
			return fairlead.Errorf(fairlead.Conflict, "the key exists")
		}
	case driver.OpCAS, driver.OpDeleteIf:
		if !exists {
			return fairlead.Errorf(fairlead.Conflict, "the key does not exist")
		}
		if base.revision() != op.Revision {
			return fairlead.Errorf(fairlead.Conflict, "the key has another revision")
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
	if fairlead.CodeOf(failure) != fairlead.UnknownOutcome {
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
