package etcd

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	k := p.topicKeys(c.Topic)
	if err := p.createTopic(ctx, k); err != nil {
		return nil, err
	}
	next, err := p.createGroup(ctx, k, c.Group, c)
	if err != nil {
		return nil, err
	}
	s := &subscription{p: p, name: crand.Text(), lease: c.AckDeadline, held: map[uint64]bool{}, life: p.life.Child("subscription")}
	if c.Group != "" {
		s.g = p.joinGroup(s, k, c.Group)
	} else {
		s.g = p.newGroup(k, "")
		s.g.begin(next)
		s.g.add(s)
		s.g.start()
	}
	if err := p.subscriptions.Add(s); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// createGroup creates a group, unless it exists. It returns where the group, or a
// broadcast, begins.
func (p *provider) createGroup(ctx context.Context, k topicKeys, group string, c driver.SubscriptionConfig) (next uint64, err error) {
	for {
		next, guard, err := p.findStart(ctx, k, group, c)
		if err != nil || group == "" || next == 0 {
			return next, err
		}
		resp, err := p.commitTxn(ctx, &pb.TxnRequest{
			Compare: append(guard, isAt(k.position(group), 0)),
			Success: []*pb.RequestOp{
				putOp(&pb.PutRequest{Key: k.group(group)}),
				putOp(&pb.PutRequest{Key: k.position(group), Value: formatNumber(next)}),
			},
		})
		if err != nil || resp.Succeeded {
			return next, asUnavailable(err, "creating the group")
		}
		providers.Pause(ctx, rand.N(10*time.Millisecond))
	}
}

// hasGroup reports whether a group exists. It is asked before anything is written,
// since a full database refuses every transaction that might write.
func (p *provider) hasGroup(ctx context.Context, k topicKeys, group string) (bool, error) {
	r, err := p.readTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp(&pb.RangeRequest{Key: k.position(group), KeysOnly: true}),
		rangeOp(&pb.RangeRequest{Key: k.group(group), KeysOnly: true}),
	}})
	if err != nil {
		return false, err
	}
	found := func(i int) bool { return len(r.Responses[i].GetResponseRange().GetKvs()) > 0 }
	if found(0) && !found(1) { // somebody deleted the name
		_, err = p.putKey(ctx, &pb.PutRequest{Key: k.group(group)})
		err = asUnavailable(err, "creating the group")
	}
	return found(0), err
}

// findStart returns the number of the first message for a new group, and the
// condition under which that message still exists when the group is created; 0 if
// the group exists.
func (p *provider) findStart(ctx context.Context, k topicKeys, group string, c driver.SubscriptionConfig) (next uint64, guard []*pb.Compare, err error) {
	if group != "" {
		if exists, err := p.hasGroup(ctx, k, group); err != nil || exists {
			return 0, nil, err
		}
	}
	r, err := p.readRange(ctx, &pb.RangeRequest{Key: k.sequence})
	if err != nil {
		return 0, nil, err
	}
	var newest uint64
	for _, kv := range r.Kvs {
		if newest, err = p.newestOf(ctx, k, kv); err != nil {
			return 0, nil, err
		}
	}
	if next, err = p.startNumber(ctx, k, c, newest); err == nil && next <= newest {
		guard = []*pb.Compare{exists(k.message(next))}
	}
	return next, guard, err
}

// startNumber returns the number of the first message for a new group of a topic
// whose newest message is known.
func (p *provider) startNumber(ctx context.Context, k topicKeys, c driver.SubscriptionConfig, newest uint64) (uint64, error) {
	from := newest + 1
	switch c.Start {
	case driver.StartEarliest:
		from = 1
	case driver.StartPosition:
		n, ok := parseNumber(c.Position)
		if !ok || n == 0 || n > newest {
			return 0, invalid("position %q was never one of this topic; pass one that a delivery carried", c.Position)
		}
		from = n + 1
	}
	if from > newest {
		return from, nil
	}
	first, err := p.firstMessage(ctx, k, from)
	switch {
	case err != nil:
		return 0, err
	case c.Start == driver.StartPosition && first != from:
		return 0, fairlead.Errorf(fairlead.Compacted, "the messages after position %q are no longer kept; start at the earliest", c.Position)
	case first == 0:
		return newest + 1, nil
	}
	return first, nil
}
