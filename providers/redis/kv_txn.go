package redis

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	if err := s.closed(); err != nil {
		return "", err
	}
	c := s.newTxn(ctx, t)
	a, err := c.finish(ctx, s.p.do(ctx, s.log, c.cmd))
	if err != nil {
		return "", err
	}
	if a.lost {
		return driver.Revision(a.found[0]), nil
	}
	switch v := a.value.(type) {
	case string:
		s.reached(v)
		return driver.Revision(v), nil
	case int64:
		return "", txnConflict(t, int(v)-1)
	default:
		return "", unexpected(v)
	}
}

func (s *store) newTxn(ctx context.Context, t driver.Txn) call {
	slots := make([]string, 0, len(t.Conditions)+len(t.Writes))
	args := make([]any, 0, 1+len(t.Conditions)+3*len(t.Writes))
	args = append(args, len(t.Conditions))
	for _, c := range t.Conditions {
		slots, args = append(slots, s.slot(c.Key)), append(args, string(c.Revision))
	}
	for _, w := range t.Writes {
		slots = append(slots, s.slot(w.Key))
		args = append(args, int(w.Kind), w.Value, milliseconds(w.TTL))
	}
	return s.newCall(ctx, kvTxn, slots, args)
}

func txnConflict(t driver.Txn, failed int) error {
	if failed < 0 || failed >= len(t.Conditions) {
		return unexpected(failed)
	}
	c := t.Conditions[failed]
	if c.Revision == "" {
		return fairlead.Errorf(fairlead.Conflict, "the key %q exists", c.Key)
	}
	return fairlead.Errorf(fairlead.Conflict, "the key %q does not have the revision %s", c.Key, c.Revision)
}
