package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// settling is one transaction that settles messages of one owner.
type settling struct {
	g       *group
	owner   string
	all     []driver.Settlement
	errs    []error
	indexes []int // of the settlements in the transaction
	now     time.Time
	plain   bool // only deletes, since there is no room: delays are kept in memory

	changes []change
}

// change is a settlement in a transaction.
type change struct {
	index   int
	number  uint64
	known   entry
	pending *pendingRecord // nil: unchanged
	lease   *leaseRecord   // nil: ended
	remove  bool
	delay   time.Time // that is not written
}

// settle settles messages that an owner, a subscription of this process, holds. A
// second settlement of the same message comes after the first one.
func (g *group) settle(ctx context.Context, owner string, all []driver.Settlement) []error {
	s := settling{g: g, owner: owner, all: all, errs: make([]error, len(all))}
	most := max(1, int(g.p.prober.txnOps.Load())/2)
	tokens := map[string]bool{}
	for i := range all {
		if tokens[all[i].Token] || len(s.indexes) == most {
			s.run(ctx)
			clear(tokens)
		}
		tokens[all[i].Token] = true
		s.indexes = append(s.indexes, i)
	}
	s.run(ctx)
	g.wake.Fire()
	return s.errs
}

// run settles the messages of s.indexes. A full database refuses what writes, and
// with it what only deletes: that is tried once more without the rest.
func (s *settling) run(ctx context.Context) {
	err := s.commit(ctx)
	if isFull(err) {
		s.plain = true
		if err = s.withoutExtensions(err); err == nil {
			err = s.commit(ctx)
		}
		s.plain = false
	}
	for _, i := range s.indexes {
		if err != nil && s.errs[i] == nil {
			s.errs[i] = err
		}
	}
	s.indexes = s.indexes[:0]
}

// withoutExtensions refuses the settlements that cannot be made without room.
func (s *settling) withoutExtensions(full error) error {
	var rest []int
	for _, i := range s.indexes {
		if s.all[i].Kind != driver.Extend {
			rest = append(rest, i)
		} else if s.errs[i] == nil {
			s.errs[i] = full
		}
	}
	if s.indexes = rest; len(rest) == 0 {
		return full
	}
	return nil
}

// commit makes the transaction, until no other change comes in between.
func (s *settling) commit(ctx context.Context) error {
	for range 10 {
		s.now = time.Now()
		s.prepareChanges()
		if len(s.changes) == 0 {
			return nil
		}
		if s.g.isBroadcast() {
			s.apply(s.g.nextChange())
			return nil
		}
		resp, err := s.g.p.commitTxn(ctx, s.request())
		switch {
		case err != nil:
			return err
		case resp.Succeeded:
			s.apply(resp.Header.Revision)
			return nil
		}
		for i, c := range s.changes {
			s.g.adopt(c.number, resp.Responses[i].GetResponseRange().GetKvs(), resp.Header.Revision)
		}
	}
	return fairlead.Errorf(fairlead.Unavailable, "other processes change the same messages of the group all the time")
}

// prepareChanges makes the changes of the settlements whose leases are held.
func (s *settling) prepareChanges() {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	s.changes = s.changes[:0]
	for _, i := range s.indexes {
		if s.errs[i] != nil {
			continue
		}
		number, lease, err := parseToken(s.all[i].Token)
		if err != nil {
			s.errs[i] = err
			continue
		}
		e := g.ledger.entries[number]
		if e == nil || e.leaseRev == 0 || e.lease.Owner != s.owner || e.lease.Lease != lease {
			s.errs[i] = errLeaseLost()
			g.forgetLease(s.owner, lease)
			continue
		}
		s.changes = append(s.changes, s.change(i, *e))
	}
}

func (s *settling) change(i int, e entry) change {
	st := s.all[i]
	c := change{index: i, number: e.number, known: e}
	record := e.pendingRecord
	switch st.Kind {
	case driver.Ack:
		c.remove = true
	case driver.Extend:
		d := st.Delay
		if d == 0 {
			d = s.g.leaseOf(s.owner)
		}
		c.lease = &leaseRecord{Owner: e.lease.Owner, Lease: e.lease.Lease, Due: milliseconds(s.now.Add(d))}
	case release:
		record.Attempt = max(0, record.Attempt-1)
		c.pending = &record
	default:
		if st.Delay > 0 {
			c.delay = s.now.Add(st.Delay)
			record.After = milliseconds(c.delay)
			c.pending = &record
		}
	}
	if s.plain {
		c.pending = nil
	}
	return c
}

// request returns the transaction. It is refused unless every lease is as it was.
func (s *settling) request() *pb.TxnRequest {
	g, r := s.g, &pb.TxnRequest{}
	for _, c := range s.changes {
		pending, lease := g.keys.pending(g.name, c.number), g.keys.lease(g.name, c.number)
		r.Compare = append(r.Compare, isAt(lease, c.known.leaseRev))
		r.Failure = append(r.Failure, rangeOp(pendingRange(pending, lease)))
		if c.remove {
			r.Success = append(r.Success, deleteOp(deletePending(pending, lease)))
			continue
		}
		if c.pending != nil {
			r.Success = append(r.Success, putOp(&pb.PutRequest{Key: pending, Value: encodeRecord(c.pending)}))
		}
		if c.lease != nil {
			r.Success = append(r.Success, putOp(&pb.PutRequest{Key: lease, Value: encodeRecord(c.lease)}))
		} else {
			r.Success = append(r.Success, deleteOp(&pb.DeleteRangeRequest{Key: lease}))
		}
	}
	return r
}

// apply notes a transaction that was carried out.
func (s *settling) apply(rev int64) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.ledger
	for _, c := range s.changes {
		if c.lease == nil {
			g.forgetLease(s.owner, c.known.lease.Lease)
		}
		switch {
		case c.remove:
			l.remove(c.number, rev)
			g.settled++
			continue
		case c.pending != nil:
			l.setPending(c.number, *c.pending, rev)
		}
		if c.lease != nil {
			l.setLease(c.number, *c.lease, rev)
			continue
		}
		if e := l.entries[c.number]; e != nil && c.pending == nil {
			e.notBefore = c.delay
		}
		l.endLease(c.number, rev)
	}
}

// adopt notes what a refused transaction found of a message.
func (g *group) adopt(number uint64, found []*mvccpb.KeyValue, rev int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	leased := false
	for _, kv := range found {
		g.showState(kv, false)
		_, part := g.keys.parseState(g.name, kv.Key)
		leased = leased || part == leasePart
	}
	switch {
	case len(found) == 0:
		g.ledger.remove(number, rev)
	case !leased:
		g.ledger.endLease(number, rev)
	}
}

// forgetLease notes that a lease is settled. The lock is held.
func (g *group) forgetLease(owner string, lease uint64) {
	if s := g.members[owner]; s != nil {
		delete(s.held, lease)
	}
}

// leaseOf returns how long a subscription's leases last. The lock is held.
func (g *group) leaseOf(owner string) time.Duration {
	if s := g.members[owner]; s != nil {
		return s.lease
	}
	return 0
}
