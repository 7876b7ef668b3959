package etcd

import (
	"context"
	"crypto/rand"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	s := &subscription{
		p: p, keys: p.topicKeys(c.Topic), turn: make(chan struct{}, 1),
		c: consumer{name: rand.Text(), lease: c.AckDeadline, skew: p.config.clockSkew, held: map[uint64]bool{}},
	}
	if c.Group != "" {
		s.group = s.keys.group(c.Group)
	}
	if err := p.createTopic(ctx, s.keys); err != nil {
		return nil, err
	}
	if err := s.createGroup(ctx, c); err != nil {
		return nil, err
	}
	s.life = p.life.Child("subscription")
	s.wakeReceivers()
	if err := p.subscriptions.Add(s); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// createGroup creates the group, unless it exists, or begins the broadcast.
func (s *subscription) createGroup(ctx context.Context, c driver.SubscriptionConfig) error {
	for {
		next, guard, err := s.findStart(ctx, c)
		if err != nil {
			return err
		}
		st := groupState{Next: next}
		if s.group == nil {
			s.state = st
			return nil
		}
		resp, err := s.p.commitTxn(ctx, &pb.TxnRequest{
			Compare: append(guard, isAt(s.group, 0)),
			Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: s.group, Value: st.encode()})},
			Failure: []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: s.group, KeysOnly: true})},
		})
		if err != nil {
			return asUnavailable(err, "creating the group")
		}
		if resp.Succeeded || len(resp.Responses[0].GetResponseRange().GetKvs()) > 0 {
			return nil
		}
	}
}

// findStart returns the number of the first message for a new group, and the
// condition under which that message still exists when the group is created.
func (s *subscription) findStart(ctx context.Context, c driver.SubscriptionConfig) (next uint64, guard []*pb.Compare, err error) {
	resp, err := s.p.readTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp(&pb.RangeRequest{Key: s.keys.sequence}),
		rangeOp(&pb.RangeRequest{Key: []byte(s.keys.messages), RangeEnd: prefixEnd(s.keys.messages), Limit: 1, KeysOnly: true}),
	}})
	if err != nil {
		return 0, nil, err
	}
	var newest uint64
	for _, kv := range resp.Responses[0].GetResponseRange().GetKvs() {
		newest, _ = parseNumber(string(kv.Value))
	}
	oldest := newest + 1
	for _, kv := range resp.Responses[1].GetResponseRange().GetKvs() {
		oldest = s.keys.number(kv.Key)
	}
	switch c.Start {
	case driver.StartEarliest:
		next = oldest
	case driver.StartPosition:
		n, ok := parseNumber(c.Position)
		if !ok || n == 0 || n > newest {
			return 0, nil, invalid("position %q was never one of this topic; pass one that a delivery carried", c.Position)
		}
		if next = n + 1; next < oldest {
			return 0, nil, fairlead.Errorf(fairlead.Compacted, "the messages after position %q are no longer kept; start at the earliest", c.Position)
		}
	default:
		next = newest + 1
	}
	if next <= newest {
		guard = []*pb.Compare{exists(s.keys.message(next))}
	}
	return next, guard, nil
}
