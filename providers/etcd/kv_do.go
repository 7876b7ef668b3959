package etcd

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// batch is a Do under way. Its reads go out as one request; each write is one
// of its own, and has a revision of its own, behind which a watch can go on.
// etcd itself gathers what comes at the same time for its log.
type batch struct {
	s       *store
	ops     []driver.Op
	results []driver.Result
	reads   [][]int // requests, of ops
	writes  []int   // of ops
}

// Do implements the kv driver's Store.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	b := &batch{s: s, ops: ops, results: make([]driver.Result, len(ops))}
	if err := s.life.Err(); err != nil {
		for i := range b.results {
			b.results[i].Err = err
		}
		return b.results
	}
	b.divide()
	b.run(ctx)
	return b.results
}

// divide makes requests of the operations.
func (b *batch) divide() {
	var now time.Time
	most := max(1, int(b.s.p.prober.txnOps.Load()))
	for i := range b.ops {
		op := &b.ops[i]
		if !op.Deadline.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if late := now.Sub(op.Deadline); late > 0 {
				b.results[i].Err = fairlead.Errorf(fairlead.DeadlineExceeded, "the deadline passed %v before the operation was sent", late)
				continue
			}
		}
		if op.Kind == driver.OpGet {
			b.addRead(i, most)
		} else {
			b.writes = append(b.writes, i)
		}
	}
}

func (b *batch) addRead(i, most int) {
	if n := len(b.reads); n == 0 || len(b.reads[n-1]) == most {
		b.reads = append(b.reads, nil)
	}
	last := &b.reads[len(b.reads)-1]
	*last = append(*last, i)
}

// run sends the requests and waits for all answers.
func (b *batch) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	n := len(b.reads) + len(b.writes)
	start := func(f func()) {
		if n--; n == 0 {
			f() // the last one, most often the only one, needs no goroutine
		} else {
			wg.Go(f)
		}
	}
	for _, r := range b.reads {
		start(func() { b.read(ctx, r) })
	}
	for _, i := range b.writes {
		start(func() { b.results[i] = b.s.write(ctx, &b.ops[i]) })
	}
}

// read carries out reads. They see one moment.
func (b *batch) read(ctx context.Context, indexes []int) {
	found, err := b.s.ranges(ctx, b.ops, indexes)
	now := time.Now()
	for n, i := range indexes {
		if err != nil {
			b.results[i].Err = err
			continue
		}
		b.results[i] = b.s.got(ctx, found[n], now)
	}
}

// ranges returns what is at the keys.
func (s *store) ranges(ctx context.Context, ops []driver.Op, indexes []int) ([]*pb.RangeResponse, error) {
	if len(indexes) == 1 {
		r, err := s.p.get(ctx, &pb.RangeRequest{Key: s.key(ops[indexes[0]].Key)})
		return []*pb.RangeResponse{r}, err
	}
	req := &pb.TxnRequest{Success: make([]*pb.RequestOp, len(indexes))}
	for n, i := range indexes {
		req.Success[n] = rangeOp(&pb.RangeRequest{Key: s.key(ops[i].Key)})
	}
	resp, err := s.p.readTxn(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(resp.Responses) != len(indexes) {
		return nil, unexpected("another number of results")
	}
	found := make([]*pb.RangeResponse, len(indexes))
	for n, r := range resp.Responses {
		found[n] = r.GetResponseRange()
	}
	return found, nil
}

// got is the result of a read. A key whose time to live has ended is removed,
// and then read once more: somebody may have written it.
func (s *store) got(ctx context.Context, r *pb.RangeResponse, now time.Time) (res driver.Result) {
	for {
		if len(r.GetKvs()) == 0 {
			res.Err = fairlead.Errorf(fairlead.NotFound, "the key does not exist")
			return res
		}
		kv := r.Kvs[0]
		v, deadline, err := value(kv)
		if err != nil {
			return driver.Result{Err: err}
		}
		if !s.p.over(deadline, now) {
			return driver.Result{Value: v, Revision: formatRevision(kv.ModRevision)}
		}
		if err := s.remove(ctx, kv); err != nil {
			return driver.Result{Err: err}
		}
		if r, err = s.p.get(ctx, &pb.RangeRequest{Key: kv.Key}); err != nil {
			return driver.Result{Err: err}
		}
	}
}
