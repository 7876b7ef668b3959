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
	plain   bool // deletes only: what cannot be written is kept in memory

	changes []change
}

// change is a settlement in a transaction.
type change struct {
	number uint64
	known  entry
	lease  leaseRecord // the new one
	remove bool
	ended  bool // the lease is settled
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

// run settles the messages of s.indexes. A full database refuses a transaction
// that puts anything.
func (s *settling) run(ctx context.Context) {
	err := s.commit(ctx)
	if isFull(err) {
		s.plain = true
		err = s.commit(ctx)
		s.plain = false
	}
	for _, i := range s.indexes {
		if err != nil && s.errs[i] == nil {
			s.errs[i] = err
		}
	}
	s.indexes = s.indexes[:0]
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
		if e == nil || e.lease.Owner != s.owner || e.lease.Lease != lease {
			s.errs[i] = errLeaseLost()
			g.forgetLease(s.owner, lease)
			continue
		}
		s.changes = append(s.changes, s.change(i, *e))
	}
}

func (s *settling) change(i int, e entry) change {
	st := s.all[i]
	c := change{number: e.number, known: e, ended: true, lease: leaseRecord{Attempt: e.lease.Attempt}}
	switch st.Kind {
	case driver.Ack:
		c.remove = true
	case driver.Extend:
		d := st.Delay
		if d == 0 {
			d = s.g.leaseOf(s.owner)
		}
		c.ended, c.lease = false, e.lease
		c.lease.Due = milliseconds(s.now.Add(d))
	case driver.Release:
		c.lease.Attempt = max(0, c.lease.Attempt-1)
	default:
		if st.Delay > 0 {
			c.lease.Due = milliseconds(s.now.Add(st.Delay))
		}
	}
	return c
}

// request returns the transaction. It is refused unless every lease is as it was.
func (s *settling) request() *pb.TxnRequest {
	g, r := s.g, &pb.TxnRequest{}
	for _, c := range s.changes {
		pending, lease := g.keys.pending(g.name, c.number), g.keys.lease(g.name, c.number)
		r.Compare = append(r.Compare, isAt(pending, c.known.rev), isAt(lease, c.known.leaseRev))
		r.Failure = append(r.Failure, rangeOp(pendingRange(pending, lease)))
		switch {
		case c.remove:
			r.Success = append(r.Success, deleteOp(deletePending(pending, lease)))
		case !s.plain:
			r.Success = append(r.Success, putOp(&pb.PutRequest{Key: lease, Value: encodeRecord(c.lease)}))
		case c.known.leaseRev != 0:
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
		if c.ended {
			g.forgetLease(s.owner, c.known.lease.Lease)
		}
		switch {
		case c.remove:
			l.remove(c.number, rev)
			g.settled++
		case s.plain:
			l.keep(c.number, c.lease, rev)
		default:
			l.setLease(c.number, c.lease, rev)
		}
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
	e := g.ledger.entries[number]
	switch {
	case len(found) == 0:
		g.ledger.remove(number, rev)
	case !leased && e != nil && !e.ours:
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
