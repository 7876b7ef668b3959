package service

import (
	"context"
	"strings"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/pubsub/driver"
)

// topic is an open topic. It gathers messages as a store gathers operations.
type topic struct {
	driver.Topic
	publish func(context.Context, []driver.Message) []driver.SendResult
	batcher *batcher.Batcher[driver.Message, driver.SendResult]
}

func (t *topic) Close(ctx context.Context) error {
	err := t.Topic.Close(ctx)
	_ = t.batcher.Close(ctx) // no call runs any more
	return err
}

func (s *session) openTopic(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	limits, err := s.limitsOf(ctx, fairlead.PubSub)
	if err != nil {
		return nil, err
	}
	t, err := p.OpenTopic(ctx, driver.TopicConfig{Name: strings.Clone(c.GetPubsubOpenTopic().GetName())})
	if err != nil {
		return nil, err
	}
	publish := guardBatch(s, t.Send, func(err error) driver.SendResult { return driver.SendResult{Err: err} })
	return s.registerHandle(ctx, &topic{t, publish, batcher.New(limits, driver.Message.Size, publish)}, nil)
}

func (s *session) openSubscription(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	if err := checkSubscription(c.GetPubsubOpenSubscription()); err != nil {
		return nil, err
	}
	sub, err := p.OpenSubscription(ctx, convert.ToSubscription(c.GetPubsubOpenSubscription()))
	return s.registerHandle(ctx, &subscription{Subscription: sub}, err)
}

func (s *session) listTopics(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	return namesReply(p.Topics(ctx, c.GetPubsubTopics().GetPrefix()))
}

func (s *session) deleteTopic(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	return &pluginpb.Reply{}, p.DeleteTopic(ctx, c.GetPubsubDeleteTopic().GetName())
}

func (s *session) deleteGroup(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	g := c.GetPubsubDeleteGroup()
	return &pluginpb.Reply{}, p.DeleteGroup(ctx, g.GetTopic(), g.GetGroup())
}

func (s *session) publishMessages(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	t, err := findHandle[*topic](s, c.Handle)
	if err != nil {
		return nil, err
	}
	msgs := convert.ToMessages(c.GetPubsubSend())
	var results []driver.SendResult
	if len(msgs) == 1 {
		r, err := t.batcher.ExecuteOne(ctx, msgs[0])
		if err != nil {
			r.Err = err
		}
		results = []driver.SendResult{r}
	} else {
		results = t.publish(ctx, msgs)
	}
	return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubSendResults{PubsubSendResults: convert.FromSendResults(results)}}, nil
}

// subscription is an open subscription.
type subscription struct {
	driver.Subscription
	leftover leftover[driver.Delivery]
}

func (s *session) receiveMessages(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	sub, err := findHandle[*subscription](s, c.Handle)
	if err != nil {
		return nil, err
	}
	ds, err := sub.receivePortion(ctx, clampLimit(c.GetPubsubReceive().GetLimit()))
	return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubDeliveries{PubsubDeliveries: convert.FromDeliveries(ds)}}, err
}

// receivePortion returns deliveries that fit in one reply.
func (s *subscription) receivePortion(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return s.leftover.takePortion(func() ([]driver.Delivery, error) { return s.Receive(ctx, limit) }, func(ds []driver.Delivery) int {
		return countFitting(ds[:min(limit, len(ds))], deliverySize)
	})
}

func deliverySize(d driver.Delivery) int {
	return driver.Message{ID: d.ID, Key: d.Key, Body: d.Body, Metadata: d.Metadata}.Size()
}

func (s *session) settleMessages(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	sub, err := findHandle[*subscription](s, c.Handle)
	if err != nil {
		return nil, err
	}
	if err := checkSettlements(c.GetPubsubSettle().GetSettlements()); err != nil {
		return nil, err
	}
	settle := guardBatch(s, sub.Settle, func(err error) error { return err })
	errs := settle(ctx, convert.ToSettlements(c.GetPubsubSettle()))
	return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubSettled{PubsubSettled: convert.FromSettled(errs)}}, nil
}
