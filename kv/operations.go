package kv

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/internal/telemetry"
	"fairlead.dev/kv/driver"
)

// Get returns the entry of a key, and ErrNotFound if it does not exist.
func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	r, err := s.runOperation(ctx, s.telemetry.get, driver.Op{Kind: driver.OpGet, Key: key})
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Value: r.Value, Revision: Revision(r.Revision)}, nil
}

// Put writes a key, whatever its state, and returns its new revision.
func (s *Store) Put(ctx context.Context, key string, value []byte, opts ...WriteOption) (Revision, error) {
	return s.runWrite(ctx, s.telemetry.put, driver.Op{Kind: driver.OpPut, Key: key, Value: value}, opts)
}

// Create writes a key that does not exist. If it exists, Create fails with
// ErrConflict; see [Current]. It needs the claim [CAS].
func (s *Store) Create(ctx context.Context, key string, value []byte, opts ...WriteOption) (Revision, error) {
	return s.runWrite(ctx, s.telemetry.create, driver.Op{Kind: driver.OpCreate, Key: key, Value: value}, opts)
}

// CAS writes a key whose present revision is rev. If it has another one or
// does not exist, CAS fails with ErrConflict; see [Current]. It needs the
// claim [CAS].
func (s *Store) CAS(ctx context.Context, key string, value []byte, rev Revision, opts ...WriteOption) (Revision, error) {
	op := driver.Op{Kind: driver.OpCAS, Key: key, Value: value, Revision: driver.Revision(rev)}
	return s.runWrite(ctx, s.telemetry.cas, op, opts)
}

// Delete removes a key. A missing key is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.runOperation(ctx, s.telemetry.del, driver.Op{Kind: driver.OpDelete, Key: key})
	return err
}

// DeleteIf removes a key whose present revision is rev. If it has another one
// or does not exist, DeleteIf fails with ErrConflict; see [Current]. It needs
// the claim [CAS].
func (s *Store) DeleteIf(ctx context.Context, key string, rev Revision) error {
	op := driver.Op{Kind: driver.OpDeleteIf, Key: key, Revision: driver.Revision(rev)}
	_, err := s.runOperation(ctx, s.telemetry.deleteIf, op)
	return err
}

// runWrite runs a write with its options.
func (s *Store) runWrite(ctx context.Context, t *telemetry.Operation, op driver.Op, opts []WriteOption) (Revision, error) {
	o, err := resolveWriteOptions(opts)
	if err != nil {
		_, call := t.Start(ctx)
		return "", call.EndWithKey(op.Key, err)
	}
	op.TTL = o.ttl
	r, err := s.runOperation(ctx, t, op)
	return Revision(r.Revision), err
}

// runOperation validates an operation, hands it to the batcher, and returns
// its result.
func (s *Store) runOperation(ctx context.Context, t *telemetry.Operation, op driver.Op) (driver.Result, error) {
	ctx, call := t.Start(ctx)
	if err := s.validateOperation(op); err != nil {
		return driver.Result{}, call.EndWithKey(op.Key, err)
	}
	op.Deadline, _ = ctx.Deadline()
	r, err := s.batcher.ExecuteOne(ctx, op)
	switch {
	case err == nil && r.Err != nil:
		err = addCurrent(r.Err, op.Key, r.Current)
	case err != nil && !op.Kind.IsWrite():
		err = readError(ctx, err)
	}
	return r, call.EndWithKey(op.Key, err)
}

// readError replaces the UnknownOutcome of a read whose caller gave up by the
// context's error: a read has no outcome.
func readError(ctx context.Context, err error) error {
	if ended := fairlead.ContextError(ctx); ended != nil && fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		return ended
	}
	return err
}

// GetMany returns one entry for each key, in the order of the keys; see
// [Entry.Exists]. The keys are read independently of each other, not at one
// moment. If one cannot be read, the whole call fails.
func (s *Store) GetMany(ctx context.Context, keys ...string) ([]Entry, error) {
	ctx, call := s.telemetry.getMany.Start(ctx)
	entries, err := s.getMany(ctx, keys)
	return entries, call.End(err)
}

func (s *Store) getMany(ctx context.Context, keys []string) ([]Entry, error) {
	ops := make([]driver.Op, len(keys))
	for i, key := range keys {
		ops[i] = driver.Op{Kind: driver.OpGet, Key: key}
		if err := s.validateOperation(ops[i]); err != nil {
			return nil, err
		}
	}
	results, err := s.batcher.ExecuteMany(ctx, ops)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(keys))
	for i, r := range results {
		entries[i].Key = keys[i]
		switch fairlead.CodeOf(r.Err) {
		case 0:
			entries[i].Value, entries[i].Revision = r.Value, Revision(r.Revision)
		case fairlead.NotFound:
		default:
			return nil, r.Err
		}
	}
	return entries, nil
}
