package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	if err := s.life.Err(); err != nil {
		return "", err
	}
	for {
		revision, retry, err := s.tryTxn(ctx, t)
		if err != nil || !retry {
			return revision, err
		}
	}
}

// tryTxn carries out a transaction. retry says that a key had to be absent and
// had a time to live that has ended: it is removed now.
func (s *store) tryTxn(ctx context.Context, t driver.Txn) (revision driver.Revision, retry bool, err error) {
	var made leases
	for i := range t.Writes {
		if err := made.grantFor(ctx, s, &t.Writes[i]); err != nil {
			made.revokeLater(s.p)
			return "", false, err
		}
	}
	resp, err := s.p.commitTxn(ctx, s.txnRequest(t, made))
	if err == nil && resp.Succeeded {
		s.revokeReplaced(resp)
		return formatRevision(resp.Header.Revision), false, nil
	}
	if fairlead.CodeOf(err) != fairlead.UnknownOutcome {
		made.revokeLater(s.p)
	}
	if err != nil {
		return "", false, err
	}
	retry, err = s.removeExpiredConditions(ctx, t, resp)
	if err == nil && !retry {
		err = txnConflict(t, resp)
	}
	return "", retry, err
}

func (s *store) txnRequest(t driver.Txn, made leases) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for _, c := range t.Conditions {
		key, revision := s.key(c.Key), conditionRevision(c)
		r.Compare = append(r.Compare, isAt(key, revision))
		// The value says when the time to live of a key that had to be absent ends.
		r.Failure = append(r.Failure, rangeOp(&pb.RangeRequest{Key: key, KeysOnly: c.Revision != ""}))
	}
	for i := range t.Writes {
		op := &t.Writes[i]
		change := deleteOp(&pb.DeleteRangeRequest{Key: s.key(op.Key), PrevKv: true})
		if op.Kind == driver.OpPut {
			change = made.putOp(s.key(op.Key), op)
		}
		r.Success = append(r.Success, change)
	}
	return r
}

// conditionRevision returns the revision that a condition demands; 0 for a key
// that must not exist.
func conditionRevision(c driver.Condition) int64 {
	if c.Revision == "" {
		return 0
	}
	return wantedRevision(c.Revision)
}

// removeExpiredConditions removes keys that had to be absent and whose time to
// live has ended.
func (s *store) removeExpiredConditions(ctx context.Context, t driver.Txn, resp *pb.TxnResponse) (any bool, err error) {
	var found []*mvccpb.KeyValue
	for i, c := range t.Conditions {
		if c.Revision == "" {
			found = append(found, resp.Responses[i].GetResponseRange().GetKvs()...)
		}
	}
	return s.removeExpiredOf(ctx, found)
}

// txnConflict names the condition that did not hold.
func txnConflict(t driver.Txn, resp *pb.TxnResponse) error {
	for i, c := range t.Conditions {
		var found int64
		for _, kv := range resp.Responses[i].GetResponseRange().GetKvs() {
			found = kv.ModRevision
		}
		switch {
		case found == conditionRevision(c):
		case c.Revision == "":
			return fairlead.Errorf(fairlead.Conflict, "the key %q exists", c.Key)
		default:
			return fairlead.Errorf(fairlead.Conflict, "the key %q does not have the revision %s", c.Key, c.Revision)
		}
	}
	return unexpected("no condition failed")
}
