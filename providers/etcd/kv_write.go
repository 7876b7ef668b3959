package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// leases are the leases of one request, by their length in seconds.
type leases map[int64]lease

// grantFor grants the lease that an operation needs, unless another operation
// has its length.
func (l *leases) grantFor(ctx context.Context, s *store, op *driver.Op) error {
	seconds := leaseSeconds(op.TTL)
	if _, ok := (*l)[seconds]; ok || op.TTL == 0 {
		return nil
	}
	made, err := s.newLease(ctx, op.TTL)
	if err == nil {
		if *l == nil {
			*l = leases{}
		}
		(*l)[seconds] = made
	}
	return err
}

// revokeLater gives up leases that no key has got.
func (l leases) revokeLater(p *provider) {
	for _, made := range l {
		p.revokeLater(made.id)
	}
}

// putOp returns the request that writes an operation's value.
func (l leases) putOp(key []byte, op *driver.Op) *pb.RequestOp {
	if op.TTL == 0 {
		return putOp(&pb.PutRequest{Key: key, Value: op.Value})
	}
	made := l[leaseSeconds(op.TTL)]
	return putOp(&pb.PutRequest{Key: key, Value: made.encodeValue(op.Value), Lease: made.id, PrevKv: true})
}

var errConflict = fairlead.Errorf(fairlead.Conflict, "the condition of the write did not hold")

// write carries out one operation. If a key had to be absent and has a time to
// live that has ended, the key is removed and the operation tried again.
func (s *store) write(ctx context.Context, op *driver.Op) (r driver.Result) {
	for retry := true; retry; {
		r, retry = s.tryWrite(ctx, op)
	}
	return r
}

func (s *store) tryWrite(ctx context.Context, op *driver.Op) (r driver.Result, retry bool) {
	var made leases
	if r.Err = made.grantFor(ctx, s, op); r.Err != nil {
		return r, false
	}
	resp, err := s.commit(ctx, s.opRequest(op, made))
	switch {
	case err == nil && !resp.Succeeded:
		found := foundKeys(resp)
		if retry, r.Err = s.removeExpiredOf(ctx, found); r.Err == nil && !retry {
			r.Err = errConflict
			r.Current = presentEntry(found)
		}
	case err != nil:
		r.Err = err
	default:
		s.revokeReplaced(resp)
		if op.Kind != driver.OpDelete && op.Kind != driver.OpDeleteIf {
			r.Revision = formatRevision(resp.Header.Revision)
		}
	}
	if retry || r.Err != nil && fairlead.CodeOf(r.Err) != fairlead.UnknownOutcome {
		made.revokeLater(s.p)
	}
	return r, retry
}

// commit sends a request. An unconditional put is not sent as a transaction,
// since etcd is faster without one.
func (s *store) commit(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if put := r.Success[0].GetRequestPut(); put != nil && len(r.Compare) == 0 {
		return s.p.putKey(ctx, put)
	}
	return s.p.commitTxn(ctx, r)
}

// opRequest returns an operation as a transaction.
func (s *store) opRequest(op *driver.Op, made leases) *pb.TxnRequest {
	key := s.key(op.Key)
	change := deleteOp(&pb.DeleteRangeRequest{Key: key, PrevKv: true})
	if op.Kind != driver.OpDelete && op.Kind != driver.OpDeleteIf {
		change = made.putOp(key, op)
	}
	r := &pb.TxnRequest{Success: []*pb.RequestOp{change}}
	switch op.Kind {
	case driver.OpCreate:
		r.Compare = []*pb.Compare{isAt(key, 0)}
	case driver.OpCAS, driver.OpDeleteIf:
		r.Compare = []*pb.Compare{isAt(key, wantedRevision(op.Revision))}
	}
	if len(r.Compare) > 0 {
		r.Failure = []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: key})}
	}
	return r
}

// presentEntry returns the entry that a refused write found, without a revision
// if the key does not exist.
func presentEntry(found []*mvccpb.KeyValue) *driver.Entry {
	if len(found) == 0 {
		return &driver.Entry{}
	}
	v, _ := decodeValue(found[0])
	return &driver.Entry{Value: v, Revision: formatRevision(found[0].ModRevision)}
}

// wantedRevision returns the revision that a condition demands. It returns -1,
// which no key has, for a revision that etcd has never given.
func wantedRevision(r driver.Revision) int64 {
	if revision, ok := parseRevision(r); ok {
		return revision
	}
	return -1
}

// foundKeys returns the keys that were found where none was allowed.
func foundKeys(resp *pb.TxnResponse) (kvs []*mvccpb.KeyValue) {
	for _, r := range resp.Responses {
		kvs = append(kvs, r.GetResponseRange().GetKvs()...)
	}
	return kvs
}
