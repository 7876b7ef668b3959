package etcd

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// batch is a Do under way. Its reads are one request. Each write is a request
// and a revision of its own, after which a watch can resume. etcd writes its
// log once for requests that arrive together.
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
	b.groupRequests()
	b.sendRequests(ctx)
	return b.results
}

// groupRequests groups the operations into requests.
func (b *batch) groupRequests() {
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

// sendRequests sends the requests and waits for all answers.
func (b *batch) sendRequests(ctx context.Context) {
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
		start(func() { b.runReads(ctx, r) })
	}
	for _, i := range b.writes {
		start(func() { b.results[i] = b.s.write(ctx, &b.ops[i]) })
	}
}

// runReads carries out reads. All of them see the same revision, and judge times
// to live at the same time.
func (b *batch) runReads(ctx context.Context, indexes []int) {
	found, err := b.s.readKeys(ctx, b.ops, indexes)
	now := time.Now()
	for n, i := range indexes {
		if err != nil {
			b.results[i].Err = err
			continue
		}
		b.results[i] = b.s.resultOfRead(ctx, found[n], now)
	}
}

// readKeys reads the keys of operations.
func (s *store) readKeys(ctx context.Context, ops []driver.Op, indexes []int) ([]*pb.RangeResponse, error) {
	if len(indexes) == 1 {
		r, err := s.p.readRange(ctx, &pb.RangeRequest{Key: s.key(ops[indexes[0]].Key)})
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

// resultOfRead returns the result of a read. A key whose time to live has ended
// is removed, and then read once more: another program may have written it.
func (s *store) resultOfRead(ctx context.Context, r *pb.RangeResponse, now time.Time) (res driver.Result) {
	for {
		if len(r.GetKvs()) == 0 {
			res.Err = fairlead.Errorf(fairlead.NotFound, "the key does not exist")
			return res
		}
		kv := r.Kvs[0]
		v, deadline := decodeValue(kv)
		if !s.p.isExpired(deadline, now) {
			return driver.Result{Value: v, Revision: formatRevision(kv.ModRevision)}
		}
		if err := s.removeExpired(ctx, kv); err != nil {
			return driver.Result{Err: err}
		}
		var err error
		if r, err = s.p.readRange(ctx, &pb.RangeRequest{Key: kv.Key}); err != nil {
			return driver.Result{Err: err}
		}
	}
}
