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

// topic is an open topic, which gathers as a store does.
type topic struct {
	driver.Topic
	send  func(context.Context, []driver.Message) []driver.SendResult
	group *batcher.Batcher[driver.Message, driver.SendResult]
}

func (t *topic) Close(ctx context.Context) error {
	err := t.Topic.Close(ctx)
	_ = t.group.Close(ctx) // nothing runs any more
	return err
}

func (s *session) pubsubProvider(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverOf[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_PubsubOpenTopic:
		return s.openTopic(ctx, p, strings.Clone(b.PubsubOpenTopic.GetName()))
	case *pluginpb.Call_PubsubOpenSubscription:
		sub, err := p.OpenSubscription(ctx, convert.ToSubscription(b.PubsubOpenSubscription))
		return s.keep(ctx, &subscription{Subscription: sub}, err)
	case *pluginpb.Call_PubsubTopics:
		return names(p.Topics(ctx, b.PubsubTopics.GetPrefix()))
	case *pluginpb.Call_PubsubDeleteTopic:
		return &pluginpb.Reply{}, p.DeleteTopic(ctx, b.PubsubDeleteTopic.GetName())
	case *pluginpb.Call_PubsubDeleteGroup:
		return &pluginpb.Reply{}, p.DeleteGroup(ctx, b.PubsubDeleteGroup.GetTopic(), b.PubsubDeleteGroup.GetGroup())
	}
	return nil, nil
}

func (s *session) openTopic(ctx context.Context, p driver.Provider, name string) (*pluginpb.Reply, error) {
	limits, err := s.limits(ctx, fairlead.PubSub)
	if err != nil {
		return nil, err
	}
	t, err := p.OpenTopic(ctx, driver.TopicConfig{Name: name})
	if err != nil {
		return nil, err
	}
	send := each(s, t.Send, func(err error) driver.SendResult { return driver.SendResult{Err: err} })
	return s.keep(ctx, &topic{t, send, batcher.New(limits, driver.Message.Size, send)}, nil)
}

func (s *session) pubsubSend(ctx context.Context, handle uint64, send *pluginpb.PubSubSend) (*pluginpb.Reply, error) {
	t, err := at[*topic](s, handle)
	if err != nil {
		return nil, err
	}
	msgs := convert.ToMessages(send)
	var results []driver.SendResult
	if len(msgs) == 1 {
		r, err := t.group.ExecuteOne(ctx, msgs[0])
		if err != nil {
			r.Err = err
		}
		results = []driver.SendResult{r}
	} else {
		results = t.send(ctx, msgs)
	}
	return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubSendResults{PubsubSendResults: convert.FromSendResults(results)}}, nil
}

// subscription is an open subscription.
type subscription struct {
	driver.Subscription
	rest rest[driver.Delivery]
}

// receive returns deliveries that find room in one reply.
func (s *subscription) receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return s.rest.next(func() ([]driver.Delivery, error) { return s.Receive(ctx, limit) }, func(ds []driver.Delivery) int {
		return portion(ds[:min(limit, len(ds))], sizeOf)
	})
}

func sizeOf(d driver.Delivery) int {
	return driver.Message{ID: d.ID, Key: d.Key, Body: d.Body, Metadata: d.Metadata}.Size()
}

func (s *session) pubsubSubscription(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	sub, err := at[*subscription](s, c.Handle)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_PubsubReceive:
		ds, err := sub.receive(ctx, max(int(b.PubsubReceive.GetLimit()), 1))
		return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubDeliveries{PubsubDeliveries: convert.FromDeliveries(ds)}}, err
	case *pluginpb.Call_PubsubSettle:
		settle := each(s, sub.Settle, func(err error) error { return err })
		errs := settle(ctx, convert.ToSettlements(b.PubsubSettle))
		return &pluginpb.Reply{Body: &pluginpb.Reply_PubsubSettled{PubsubSettled: convert.FromSettled(errs)}}, nil
	}
	return nil, nil
}
