package redis

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	if err := s.life.Err(); err != nil {
		return "", err
	}
	for _, op := range t.Writes {
		if op.TTL < 0 {
			return "", negativeTTLError(op.TTL)
		}
	}
	w := s.newTxn(ctx, t)
	reply, err := w.resolveReply(ctx, s.p.pipeline(ctx, s.keys.log, w.cmd))
	if err != nil {
		return "", err
	}
	if reply.lost {
		return driver.Revision(reply.revisions[0]), nil
	}
	switch v := reply.value.(type) {
	case string:
		s.noteRevision(v)
		return driver.Revision(v), nil
	case int64:
		return "", conflictError(t, int(v)-1)
	default:
		return "", unexpectedReply(v)
	}
}

func (s *store) newTxn(ctx context.Context, t driver.Txn) loggedWrite {
	valueKeys := make([]string, 0, len(t.Conditions)+len(t.Writes))
	args := make([]any, 0, 1+len(t.Conditions)+3*len(t.Writes))
	args = append(args, len(t.Conditions))
	for _, c := range t.Conditions {
		valueKeys, args = append(valueKeys, s.keys.valueKey(c.Key)), append(args, string(c.Revision))
	}
	for _, w := range t.Writes {
		valueKeys = append(valueKeys, s.keys.valueKey(w.Key))
		args = append(args, int(w.Kind), w.Value, milliseconds(w.TTL))
	}
	return s.newLoggedWrite(ctx, kvTxn, valueKeys, args)
}

func conflictError(t driver.Txn, failed int) error {
	if failed < 0 || failed >= len(t.Conditions) {
		return unexpectedReply(failed)
	}
	c := t.Conditions[failed]
	if c.Revision == "" {
		return fairlead.Errorf(fairlead.Conflict, "the key %q exists", c.Key)
	}
	return fairlead.Errorf(fairlead.Conflict, "the key %q does not have the revision %s", c.Key, c.Revision)
}
