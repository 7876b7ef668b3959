package kv

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// TxnPart is a condition or a write of a [Store.Txn].
type TxnPart func(*transaction) error

// transaction is a Txn that is being built from its parts.
type transaction struct{ driver.Txn }

func (t *transaction) addCondition(c driver.Condition) { t.Conditions = append(t.Conditions, c) }

func (t *transaction) addWrite(op driver.Op) { t.Writes = append(t.Writes, op) }

// IfRevision demands that the key's present revision is rev.
func IfRevision(key string, rev Revision) TxnPart {
	return func(t *transaction) error {
		if rev == "" {
			return fairlead.Errorf(fairlead.Invalid, "IfRevision of key %q has an empty revision; use IfMissing for a key that must not exist", key)
		}
		t.addCondition(driver.Condition{Key: key, Revision: driver.Revision(rev)})
		return nil
	}
}

// IfMissing demands that the key does not exist.
func IfMissing(key string) TxnPart {
	return func(t *transaction) error {
		t.addCondition(driver.Condition{Key: key})
		return nil
	}
}

// ThenPut writes a key.
func ThenPut(key string, value []byte, opts ...WriteOption) TxnPart {
	return func(t *transaction) error {
		o, err := resolveWriteOptions(opts)
		if err != nil {
			return err
		}
		t.addWrite(driver.Op{Kind: driver.OpPut, Key: key, Value: value, TTL: o.ttl})
		return nil
	}
}

// ThenDelete removes a key. A missing key is no error.
func ThenDelete(key string) TxnPart {
	return func(t *transaction) error {
		t.addWrite(driver.Op{Kind: driver.OpDelete, Key: key})
		return nil
	}
}

// Txn applies all writes if all conditions hold. Otherwise it applies none and
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
	ctx, call := s.telemetry.txn.Start(ctx)
	rev, err := s.runTxn(ctx, parts)
	return rev, call.End(err)
}

func (s *Store) runTxn(ctx context.Context, parts []TxnPart) (Revision, error) {
	if err := s.checkUsable(); err != nil {
		return "", err
	}
	if err := s.handle.CheckClaim(Txn); err != nil {
		return "", err
	}
	t, err := buildTxn(parts)
	if err != nil {
		return "", err
	}
	if err := s.validateTxn(t); err != nil {
		return "", err
	}
	rev, err := s.driver.Txn(ctx, t)
	return Revision(rev), err
}

func buildTxn(parts []TxnPart) (driver.Txn, error) {
	var t transaction
	for i, addTo := range parts {
		if addTo == nil {
			return driver.Txn{}, fairlead.Errorf(fairlead.Invalid, "part %d of the transaction is nil; leave it out", i+1)
		}
		if err := addTo(&t); err != nil {
			return driver.Txn{}, err
		}
	}
	return t.Txn, nil
}

func (s *Store) validateTxn(t driver.Txn) error {
	limit, n := s.handle.Facet.Limits.MaxTxnOps, len(t.Conditions)+len(t.Writes)
	switch {
	case len(t.Writes) == 0:
		return fairlead.Errorf(fairlead.Invalid, "the transaction has no write; add ThenPut or ThenDelete")
	case n > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the transaction has %d conditions and writes, the limit is %d", n, limit)
	}
	if err := s.validateConditions(t.Conditions); err != nil {
		return err
	}
	return s.validateWrites(t.Writes)
}

func (s *Store) validateConditions(conditions []driver.Condition) error {
	seen := map[string]bool{}
	for _, c := range conditions {
		if err := s.validateKey(c.Key); err != nil {
			return err
		}
		if seen[c.Key] {
			return fairlead.Errorf(fairlead.Invalid, "key %q stands in two conditions; give one", c.Key)
		}
		seen[c.Key] = true
	}
	return nil
}

func (s *Store) validateWrites(writes []driver.Op) error {
	seen := map[string]bool{}
	for _, op := range writes {
		if err := s.validateOperation(op); err != nil {
			return err
		}
		if seen[op.Key] {
			return fairlead.Errorf(fairlead.Invalid, "key %q is written twice; a transaction writes a key once", op.Key)
		}
		seen[op.Key] = true
	}
	return nil
}
