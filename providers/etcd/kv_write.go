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

// begin makes the lease that an operation needs, unless another one has made
// it.
func (l *leases) begin(ctx context.Context, p *provider, op *driver.Op) error {
	seconds := leaseSeconds(op.TTL)
	if _, ok := (*l)[seconds]; ok || op.TTL == 0 {
		return nil
	}
	made, err := p.newLease(ctx, op.TTL)
	if err == nil {
		if *l == nil {
			*l = leases{}
		}
		(*l)[seconds] = made
	}
	return err
}

// drop gives up leases that no key has got.
func (l leases) drop(p *provider) {
	for _, made := range l {
		p.drop(made.id)
	}
}

// put is the request that writes an operation's value.
func (l leases) put(key []byte, op *driver.Op) *pb.RequestOp {
	if op.TTL == 0 {
		return putOp(&pb.PutRequest{Key: key, Value: op.Value})
	}
	made := l[leaseSeconds(op.TTL)]
	return putOp(&pb.PutRequest{Key: key, Value: made.wrap(op.Value), Lease: made.id})
}

var errConflict = fairlead.Errorf(fairlead.Conflict, "the condition of the write did not hold")

// write carries out one operation. What had to be absent may be there, with a
// time to live that has ended: it is removed then, and the write tried again.
func (s *store) write(ctx context.Context, op *driver.Op) (r driver.Result) {
	for again := true; again; {
		r, again = s.tryWrite(ctx, op)
	}
	return r
}

func (s *store) tryWrite(ctx context.Context, op *driver.Op) (r driver.Result, again bool) {
	var made leases
	if r.Err = made.begin(ctx, s.p, op); r.Err != nil {
		return r, false
	}
	resp, err := s.commit(ctx, s.request(op, made))
	switch {
	case err == nil && !resp.Succeeded:
		if again, r.Err = s.clear(ctx, inTheWay(resp)); r.Err == nil && !again {
			r.Err = errConflict
		}
	case err != nil:
		r.Err = err
	case op.Kind != driver.OpDelete && op.Kind != driver.OpDeleteIf:
		r.Revision = formatRevision(resp.Header.Revision)
	}
	if again || r.Err != nil && fairlead.CodeOf(r.Err) != fairlead.UnknownOutcome {
		made.drop(s.p)
	}
	return r, again
}

// commit sends a request. A put is no transaction: etcd is quicker with it.
func (s *store) commit(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if put := r.Success[0].GetRequestPut(); put != nil && len(r.Compare) == 0 {
		return s.p.put(ctx, put)
	}
	return s.p.txn(ctx, r)
}

// request is an operation as a transaction.
func (s *store) request(op *driver.Op, made leases) *pb.TxnRequest {
	key := s.key(op.Key)
	change := deleteOp(&pb.DeleteRangeRequest{Key: key})
	if op.Kind != driver.OpDelete && op.Kind != driver.OpDeleteIf {
		change = made.put(key, op)
	}
	r := &pb.TxnRequest{Success: []*pb.RequestOp{change}}
	switch op.Kind {
	case driver.OpCreate:
		r.Compare = []*pb.Compare{isAt(key, 0)}
		r.Failure = []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: key})}
	case driver.OpCAS, driver.OpDeleteIf:
		r.Compare = []*pb.Compare{isAt(key, wantedRevision(op.Revision))}
	}
	return r
}

// wantedRevision is the revision that a condition demands; -1, which no key
// has, for what etcd has never given.
func wantedRevision(r driver.Revision) int64 {
	if revision, ok := parseRevision(r); ok {
		return revision
	}
	return -1
}

// inTheWay is what was found where a key had to be absent.
func inTheWay(resp *pb.TxnResponse) (kvs []*mvccpb.KeyValue) {
	for _, r := range resp.Responses {
		kvs = append(kvs, r.GetResponseRange().GetKvs()...)
	}
	return kvs
}
