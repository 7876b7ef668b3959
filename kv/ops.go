package kv

import (
	"context"
	"time"
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/internal/telemetry"
	"fairlead.dev/kv/driver"
)

// WriteOption changes a write.
type WriteOption func(*driver.Op)

// WithTTL makes the key vanish after d, which is rounded up to the provider's
// resolution. A write without it clears an earlier one. It needs the claim
// [TTL]; a d below the provider's MinTTL is Invalid.
func WithTTL(d time.Duration) WriteOption {
	return func(op *driver.Op) {
		op.TTL = d
		if d <= 0 {
			op.TTL = -1 // refused by validation: 0 would mean none
		}
	}
}

// Get returns the entry of a key, and ErrNotFound if it does not exist.
func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	r, err := s.do(ctx, s.ops.get, driver.Op{Kind: driver.OpGet, Key: key})
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Value: r.Value, Revision: r.Revision}, nil
}

// Put writes a key, whatever its state, and returns its new revision.
func (s *Store) Put(ctx context.Context, key string, value []byte, opts ...WriteOption) (Revision, error) {
	return s.write(ctx, s.ops.put, driver.Op{Kind: driver.OpPut, Key: key, Value: value}, opts)
}

// Create writes a key that does not exist; if it does, ErrConflict. It needs
// the claim [CAS].
func (s *Store) Create(ctx context.Context, key string, value []byte, opts ...WriteOption) (Revision, error) {
	return s.write(ctx, s.ops.create, driver.Op{Kind: driver.OpCreate, Key: key, Value: value}, opts)
}

// CAS writes a key whose present revision is rev; if it has another one or
// does not exist, ErrConflict. It needs the claim [CAS].
func (s *Store) CAS(ctx context.Context, key string, value []byte, rev Revision, opts ...WriteOption) (Revision, error) {
	return s.write(ctx, s.ops.cas, driver.Op{Kind: driver.OpCAS, Key: key, Value: value, Revision: rev}, opts)
}

// Delete removes a key; a missing key is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.do(ctx, s.ops.del, driver.Op{Kind: driver.OpDelete, Key: key})
	return err
}

// DeleteIf removes a key whose present revision is rev; if it has another one
// or does not exist, ErrConflict. It needs the claim [CAS].
func (s *Store) DeleteIf(ctx context.Context, key string, rev Revision) error {
	_, err := s.do(ctx, s.ops.deleteIf, driver.Op{Kind: driver.OpDeleteIf, Key: key, Revision: rev})
	return err
}

func (s *Store) write(ctx context.Context, o *telemetry.Operation, op driver.Op, opts []WriteOption) (Revision, error) {
	for _, opt := range opts {
		opt(&op)
	}
	r, err := s.do(ctx, o, op)
	return r.Revision, err
}

func (s *Store) do(ctx context.Context, o *telemetry.Operation, op driver.Op) (driver.Result, error) {
	ctx, call := o.Start(ctx)
	if err := s.check(op); err != nil {
		return driver.Result{}, call.End(err)
	}
	op.Deadline, _ = ctx.Deadline()
	r, err := s.group.ExecuteOne(ctx, op)
	if err == nil {
		err = r.Err
	} else if !op.Kind.IsWrite() {
		err = readOutcome(ctx, err)
	}
	return r, call.End(err)
}

// readOutcome turns UnknownOutcome, which a read that was handed over gets
// when its caller gives up, into the code of the context's error.
func readOutcome(ctx context.Context, err error) error {
	if ended := fairlead.ContextError(ctx); ended != nil && fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		return ended
	}
	return err
}

// Lookup is the answer for one key of [Store.GetMany].
type Lookup struct {
	Entry
	Found bool
}

// GetMany returns one Lookup for each key, in order. The keys are read
// independently of each other, not at one moment. If one cannot be read, the
// whole call fails.
func (s *Store) GetMany(ctx context.Context, keys ...string) ([]Lookup, error) {
	ctx, call := s.ops.getMany.Start(ctx)
	found, err := s.getMany(ctx, keys)
	return found, call.End(err)
}

func (s *Store) getMany(ctx context.Context, keys []string) ([]Lookup, error) {
	ops := make([]driver.Op, len(keys))
	for i, key := range keys {
		ops[i] = driver.Op{Kind: driver.OpGet, Key: key}
		if err := s.check(ops[i]); err != nil {
			return nil, err
		}
	}
	results, err := s.group.ExecuteMany(ctx, ops)
	if err != nil {
		return nil, err
	}
	found := make([]Lookup, len(keys))
	for i, r := range results {
		switch fairlead.CodeOf(r.Err) {
		case 0:
			found[i] = Lookup{Entry{Key: keys[i], Value: r.Value, Revision: r.Revision}, true}
		case fairlead.NotFound:
			found[i].Key = keys[i]
		default:
			return nil, r.Err
		}
	}
	return found, nil
}

// check returns why an operation must not be sent.
func (s *Store) check(op driver.Op) error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := s.checkKey(op.Key); err != nil {
		return err
	}
	switch op.Kind {
	case driver.OpCreate, driver.OpCAS, driver.OpDeleteIf:
		if err := s.handle.Needs(CAS); err != nil {
			return err
		}
	}
	if (op.Kind == driver.OpCAS || op.Kind == driver.OpDeleteIf) && op.Revision == "" {
		return fairlead.Errorf(fairlead.Invalid, "the revision is empty, which names no state; pass one that a read or write returned, or use Create")
	}
	return s.checkValue(op)
}

func (s *Store) checkKey(key string) error {
	limit := s.handle.Facet.Limits.MaxKeyBytes
	switch {
	case key == "":
		return fairlead.Errorf(fairlead.Invalid, "the key is empty; a key has 1 to %d bytes", limit)
	case len(key) > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the key has %d bytes, the limit is %d", len(key), limit)
	}
	return checkUTF8("key", key)
}

func checkUTF8(what, s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return fairlead.Errorf(fairlead.Invalid, "the %s %q is not valid UTF-8; encode other bytes, as with base64", what, s)
}

func (s *Store) checkValue(op driver.Op) error {
	limits := s.handle.Facet.Limits
	if len(op.Value) > limits.MaxValueBytes {
		return fairlead.Errorf(fairlead.TooLarge, "the value has %d bytes, the limit is %d", len(op.Value), limits.MaxValueBytes)
	}
	if op.TTL == 0 {
		return nil
	}
	if err := s.handle.Needs(TTL); err != nil {
		return err
	}
	if op.TTL < max(limits.MinTTL, 1) {
		return fairlead.Errorf(fairlead.Invalid, "the time to live is shorter than the least of this provider, %v", limits.MinTTL)
	}
	return nil
}
