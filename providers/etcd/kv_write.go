package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// writes is one request that carries out write operations of a batch, each with
// its own condition. etcd writes its log once for all.
type writes struct {
	b      *batch
	ops    []int // of b.ops
	keys   map[string]struct{}
	bytes  int
	leases leases
}

// takes reports whether the request has room for an operation.
func (w *writes) takes(op *driver.Op, most int) bool {
	if len(w.ops) == most || w.bytes+len(op.Value) > callBytes {
		return false
	}
	if w.keys == nil { // more than one operation is the rarer case
		w.keys = map[string]struct{}{}
		for _, i := range w.ops {
			w.keys[w.b.ops[i].Key] = struct{}{}
		}
	}
	_, taken := w.keys[op.Key]
	return !taken
}

func (w *writes) add(i int) {
	op := &w.b.ops[i]
	w.ops = append(w.ops, i)
	w.bytes += len(op.Value)
	if w.keys != nil {
		w.keys[op.Key] = struct{}{}
	}
}

// leases are the leases of one request, by their length in seconds: keys that
// are written together with the same time to live share one.
type leases map[int64]lease

// begin makes the leases that the operations need.
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

// run carries out the operations and fills in their results.
func (w *writes) run(ctx context.Context) {
	again := w.attempt(ctx)
	// What had to be absent was there, with a time to live that had ended.
	for len(again) > 0 {
		rest := writes{b: w.b, ops: again}
		again = rest.attempt(ctx)
	}
}

// attempt returns the operations that are to be tried again.
func (w *writes) attempt(ctx context.Context) (again []int) {
	w.beginLeases(ctx)
	if len(w.ops) == 0 {
		return nil
	}
	resp, err := w.commit(ctx)
	if err == nil && len(resp.Responses) != len(w.ops) {
		err = unexpected("another number of results")
	}
	if err != nil {
		for _, i := range w.ops {
			w.b.results[i].Err = err
		}
		if providers.CodeOf(err) != providers.UnknownOutcome {
			w.leases.drop(w.b.s.p)
		}
		return nil
	}
	return w.settle(ctx, resp)
}

// commit sends the request. A single put is no transaction: etcd is quicker with
// it.
func (w *writes) commit(ctx context.Context) (*pb.TxnResponse, error) {
	req := &pb.TxnRequest{Success: make([]*pb.RequestOp, len(w.ops))}
	for n, i := range w.ops {
		req.Success[n] = w.request(&w.b.ops[i])
	}
	if put := req.Success[0].GetRequestPut(); put != nil && len(w.ops) == 1 {
		return w.b.s.p.put(ctx, put)
	}
	return w.b.s.p.txn(ctx, req)
}

// beginLeases makes the leases; operations that get none fail.
func (w *writes) beginLeases(ctx context.Context) {
	kept := w.ops[:0]
	for _, i := range w.ops {
		if err := w.leases.begin(ctx, w.b.s.p, &w.b.ops[i]); err != nil {
			w.b.results[i].Err = err
			continue
		}
		kept = append(kept, i)
	}
	w.ops = kept
}

// request is an operation as a part of the transaction: with a condition, it is
// a transaction of its own.
func (w *writes) request(op *driver.Op) *pb.RequestOp {
	key := w.b.s.key(op.Key)
	switch op.Kind {
	case driver.OpPut:
		return w.leases.put(key, op)
	case driver.OpDelete:
		return deleteOp(&pb.DeleteRangeRequest{Key: key})
	case driver.OpCreate:
		return txnOp(&pb.TxnRequest{
			Compare: []*pb.Compare{isAt(key, 0)},
			Success: []*pb.RequestOp{w.leases.put(key, op)},
			Failure: []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: key})},
		})
	}
	revision, ok := parseRevision(op.Revision)
	if !ok {
		revision = -1 // which no key has
	}
	change := deleteOp(&pb.DeleteRangeRequest{Key: key})
	if op.Kind == driver.OpCAS {
		change = w.leases.put(key, op)
	}
	return txnOp(&pb.TxnRequest{Compare: []*pb.Compare{isAt(key, revision)}, Success: []*pb.RequestOp{change}})
}

var errConflict = providers.Errorf(providers.Conflict, "the condition of the write did not hold")

// settle fills in the results of a transaction.
func (w *writes) settle(ctx context.Context, resp *pb.TxnResponse) (again []int) {
	revision := formatRevision(resp.Header.Revision)
	used := map[int64]bool{}
	for n, i := range w.ops {
		op, r := &w.b.ops[i], &w.b.results[i]
		nested := resp.Responses[n].GetResponseTxn()
		if nested != nil && !nested.Succeeded {
			ended, err := w.b.s.clear(ctx, inTheWay(nested))
			switch {
			case err != nil:
				r.Err = err
			case ended:
				again = append(again, i)
			default:
				r.Err = errConflict
			}
			continue
		}
		used[leaseSeconds(op.TTL)] = true
		if op.Kind != driver.OpDelete && op.Kind != driver.OpDeleteIf {
			r.Revision = revision
		}
	}
	for seconds, made := range w.leases {
		if !used[seconds] {
			w.b.s.p.drop(made.id)
		}
	}
	return again
}

// inTheWay is what was found where a key had to be absent.
func inTheWay(nested *pb.TxnResponse) (kvs []*mvccpb.KeyValue) {
	for _, r := range nested.Responses {
		kvs = append(kvs, r.GetResponseRange().GetKvs()...)
	}
	return kvs
}
