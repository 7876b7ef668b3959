package kv

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// TxnPart is a condition or a write of a [Store.Txn].
type TxnPart func(*driver.Txn)

// IfRevision demands that the key's present revision is rev.
func IfRevision(key string, rev Revision) TxnPart {
	if rev == "" {
		rev = noRevision
	}
	return func(t *driver.Txn) { t.Conditions = append(t.Conditions, driver.Condition{Key: key, Revision: rev}) }
}

// noRevision stands for an empty revision given to IfRevision, which must not
// mean that the key is missing.
const noRevision Revision = "\x00empty"

// IfMissing demands that the key does not exist.
func IfMissing(key string) TxnPart {
	return func(t *driver.Txn) { t.Conditions = append(t.Conditions, driver.Condition{Key: key}) }
}

// ThenPut writes a key.
func ThenPut(key string, value []byte, opts ...WriteOption) TxnPart {
	op := driver.Op{Kind: driver.OpPut, Key: key, Value: value}
	for _, opt := range opts {
		opt(&op)
	}
	return func(t *driver.Txn) { t.Writes = append(t.Writes, op) }
}

// ThenDelete removes a key; a missing key is no error.
func ThenDelete(key string) TxnPart {
	return func(t *driver.Txn) { t.Writes = append(t.Writes, driver.Op{Kind: driver.OpDelete, Key: key}) }
}

// Txn applies all writes if all conditions hold, and none otherwise: then it
// fails with ErrConflict. No reader sees a part of it. It returns the revision
// that every written key has. It needs the claim [Txn].
//
//	rev, err := accounts.Txn(ctx,
//		kv.IfRevision("from", from.Revision), kv.IfMissing("to"),
//		kv.ThenDelete("from"), kv.ThenPut("to", from.Value))
//
// Errors: Invalid if it has no write, or names a key twice among its
// conditions or among its writes; TooLarge beyond the provider's MaxTxnOps.
func (s *Store) Txn(ctx context.Context, parts ...TxnPart) (Revision, error) {
	ctx, call := s.ops.txn.Start(ctx)
	var t driver.Txn
	for _, p := range parts {
		p(&t)
	}
	if err := s.checkTxn(t); err != nil {
		return "", call.End(err)
	}
	rev, err := s.driver.Txn(ctx, t)
	return rev, call.End(err)
}

func (s *Store) checkTxn(t driver.Txn) error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := s.handle.Needs(Txn); err != nil {
		return err
	}
	limit, n := s.handle.Facet.Limits.MaxTxnOps, len(t.Conditions)+len(t.Writes)
	switch {
	case len(t.Writes) == 0:
		return fairlead.Errorf(fairlead.Invalid, "the transaction has no write; add ThenPut or ThenDelete")
	case n > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the transaction has %d conditions and writes, the limit is %d", n, limit)
	}
	if err := s.checkConditions(t.Conditions); err != nil {
		return err
	}
	return s.checkWrites(t.Writes)
}

func (s *Store) checkConditions(conditions []driver.Condition) error {
	seen := map[string]bool{}
	for _, c := range conditions {
		switch err := s.checkKey(c.Key); {
		case err != nil:
			return err
		case c.Revision == noRevision:
			return fairlead.Errorf(fairlead.Invalid, "IfRevision of key %q has an empty revision; use IfMissing for a key that must not exist", c.Key)
		case seen[c.Key]:
			return fairlead.Errorf(fairlead.Invalid, "key %q stands in two conditions; give one", c.Key)
		}
		seen[c.Key] = true
	}
	return nil
}

func (s *Store) checkWrites(writes []driver.Op) error {
	seen := map[string]bool{}
	for _, op := range writes {
		if err := s.check(op); err != nil {
			return err
		}
		if seen[op.Key] {
			return fairlead.Errorf(fairlead.Invalid, "key %q is written twice; a transaction writes a key once", op.Key)
		}
		seen[op.Key] = true
	}
	return nil
}
