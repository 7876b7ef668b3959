package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// maxWaiting bounds the messages of a group that wait for another one with
// their ordering key.
const maxWaiting = 1000

// receiveAtOnce bounds the messages that one call reads: each may have a
// megabyte.
const receiveAtOnce = 64

// subscription is a consumer of a group, or a broadcast. One call at a time
// changes the state.
type subscription struct {
	p     *provider
	keys  topicKeys
	group []byte        // nil for a broadcast
	turn  chan struct{} // holds a token while a call changes the state
	c     consumer
	state groupState       // of a broadcast; of a group, where to look for messages
	known *mvccpb.KeyValue // the group's value at its last change; may be out of date
	life  *providers.Lifetime

	settled     context.Context // of a broadcast: ends when its state changes next by more than a Receive
	wakeWaiters context.CancelFunc
}

// inTurn runs f while no other call of this handle runs inTurn.
func (s *subscription) inTurn(ctx context.Context, f func() error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return f()
	case <-ctx.Done():
		return fairlead.ContextError(ctx)
	}
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	joined, leave := s.life.Join(ctx)
	defer leave()
	for {
		var out []driver.Delivery
		var idle idleness
		err := s.inTurn(joined, func() (err error) {
			out, idle, err = s.handOut(joined, min(limit, receiveAtOnce))
			return err
		})
		if err == nil && len(out) == 0 {
			err = s.awaitMessages(joined, idle)
		}
		switch {
		case len(out) > 0:
			return out, nil
		case s.life.Err() != nil:
			return nil, s.life.Err()
		case err != nil:
			return nil, err
		}
	}
}

// view is what etcd holds at one revision.
type view struct {
	revision int64
	newest   uint64
	topic    bool // exists
	group    *mvccpb.KeyValue
	messages []*mvccpb.KeyValue // from the place that was asked for
}

// readView reads the group, and messages from a number on.
func (s *subscription) readView(ctx context.Context, from uint64, limit int) (v view, err error) {
	r := &pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp(&pb.RangeRequest{Key: s.keys.sequence}),
		rangeOp(&pb.RangeRequest{Key: s.keys.message(from), RangeEnd: prefixEnd(s.keys.messages), Limit: int64(limit)}),
	}}
	if s.group != nil {
		r.Success = append(r.Success, rangeOp(&pb.RangeRequest{Key: s.group}))
	}
	resp, err := s.p.readTxn(ctx, r)
	if err != nil {
		return view{}, err
	}
	v.revision = resp.Header.Revision
	for _, kv := range resp.Responses[0].GetResponseRange().GetKvs() {
		v.topic = true
		v.newest, _ = parseNumber(string(kv.Value))
	}
	v.messages = resp.Responses[1].GetResponseRange().GetKvs()
	if s.group != nil {
		for _, kv := range resp.Responses[2].GetResponseRange().GetKvs() {
			v.group = kv
		}
	}
	return v, nil
}

// readState reads the state of the group, in a view that begins at its
// position.
func (s *subscription) readState(ctx context.Context, limit int) (v view, st groupState, err error) {
	for {
		if v, err = s.readView(ctx, s.state.Next, limit); err != nil {
			return v, st, err
		}
		switch {
		case !v.topic:
			return v, st, s.recreateTopic(ctx)
		case s.group == nil:
			return v, s.state, nil
		case v.group == nil:
			return v, st, fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
		}
		if st, err = decodeState(v.group.Value); err != nil || st.Next == s.state.Next {
			return v, st, err
		}
		s.state.Next = st.Next
	}
}

// recreateTopic creates a topic again that was deleted or lost, with the group,
// and reports the gap.
func (s *subscription) recreateTopic(ctx context.Context) error {
	if err := s.p.createTopic(ctx, s.keys); err != nil {
		return err
	}
	s.state = groupState{Next: 1}
	if s.group != nil {
		if err := s.createGroup(ctx, driver.SubscriptionConfig{Start: driver.StartEarliest}); err != nil {
			return err
		}
	}
	return fairlead.Errorf(fairlead.Compacted, "the topic was deleted or lost, with what it held")
}

// handOut hands out messages: first messages that come again, then new ones. If
// there are none, it returns how long there will be none.
func (s *subscription) handOut(ctx context.Context, limit int) ([]driver.Delivery, idleness, error) {
	for {
		v, st, err := s.readState(ctx, limit)
		if err != nil {
			return nil, idleness{}, err
		}
		h := handout{s: s, now: time.Now(), limit: limit}
		if err := h.fill(ctx, v, &st); err != nil {
			return nil, idleness{}, err
		}
		if !h.changed {
			return nil, idleness{v.revision, st.nextDue(&s.c), s.settled}, nil
		}
		done, err := s.saveState(ctx, v, st)
		if err != nil {
			return nil, idleness{}, asUnavailable(err, "taking messages")
		}
		if !done {
			continue
		}
		for _, lease := range h.leases {
			s.c.held[lease] = true
		}
		if h.gap != nil {
			return nil, idleness{}, h.gap
		}
		if len(h.out) > 0 {
			return h.out, idleness{}, nil
		}
	}
}

// saveState stores the state that was made from a view, and returns false if
// another consumer has changed the group since.
func (s *subscription) saveState(ctx context.Context, v view, st groupState) (bool, error) {
	if s.group == nil {
		s.state = st
		return true, nil
	}
	value := st.encode()
	resp, err := s.p.commitTxn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(s.group, v.group.ModRevision)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: s.group, Value: value})},
		Failure: []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: s.group})},
	})
	s.known = nil
	switch {
	case err != nil:
		return false, err
	case resp.Succeeded:
		s.known = &mvccpb.KeyValue{Key: s.group, Value: value, ModRevision: resp.Header.Revision}
		s.state.Next = st.Next
		return true, nil
	}
	for _, kv := range resp.Responses[0].GetResponseRange().GetKvs() {
		s.known = kv
	}
	return false, nil
}

// changeState changes the state of the group, and then calls done. It tries again
// if another consumer has changed the state meanwhile.
func (s *subscription) changeState(ctx context.Context, f func(st *groupState), done func()) error {
	return s.inTurn(ctx, func() error {
		for {
			v, st, err := s.lastKnownState(ctx)
			if err != nil {
				return err
			}
			f(&st)
			saved, err := s.saveState(ctx, v, st)
			if err != nil {
				return err
			}
			if saved {
				done()
				s.wakeReceivers()
				return nil
			}
		}
	})
}

// wakeReceivers lets the Receive calls of a broadcast look again: messages that
// were given back, or that waited for an acknowledged one, come at once. The
// Receive calls of a group see the change in etcd.
func (s *subscription) wakeReceivers() {
	if s.group != nil {
		return
	}
	if s.wakeWaiters != nil {
		s.wakeWaiters()
	}
	s.settled, s.wakeWaiters = context.WithCancel(context.Background())
}

// lastKnownState returns the state as far as it is known. A state that is out
// of date cannot be saved.
func (s *subscription) lastKnownState(ctx context.Context) (v view, st groupState, err error) {
	if s.group == nil {
		return v, s.state, nil
	}
	if s.known == nil {
		r, err := s.p.readRange(ctx, &pb.RangeRequest{Key: s.group})
		if err != nil {
			return v, st, err
		}
		if len(r.Kvs) == 0 {
			return v, st, fairlead.Errorf(fairlead.Conflict, "the group was deleted")
		}
		s.known = r.Kvs[0]
	}
	v.group = s.known
	st, err = decodeState(v.group.Value)
	return v, st, err
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	err := s.life.Err()
	if err == nil {
		err = s.changeState(ctx, func(st *groupState) {
			now := time.Now()
			for i := range all {
				errs[i] = st.settle(&s.c, all[i], now)
			}
		}, func() { s.forgetLeases(all, errs) })
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// forgetLeases removes the leases that were settled.
func (s *subscription) forgetLeases(all []driver.Settlement, errs []error) {
	for i, st := range all {
		if lease, err := parseToken(st.Token); err == nil && (st.Kind != driver.Extend || errs[i] != nil) {
			delete(s.c.held, lease)
		}
	}
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(ctx context.Context) error {
	if !s.life.End() {
		return nil
	}
	s.p.subscriptions.Remove(s)
	if s.group == nil {
		return nil
	}
	// If this fails, the messages come when their leases end.
	_ = s.changeState(ctx, func(st *groupState) { st.giveBack(&s.c, time.Now()) }, func() {})
	return nil
}

// idleness says how long there are no messages: until something changes after a
// revision, until the next message comes again, or, for a broadcast, until a
// message is settled.
type idleness struct {
	revision int64
	due      time.Time       // zero for never
	settled  context.Context // nil of a group
}
