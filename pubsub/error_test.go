package pubsub_test

import (
	"context"
	"strings"
	"testing"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/pubsub"
)

// TestErrorsNameTopicAndGroup: whatever a driver says, an error names the topic, and the
// group of a subscription.
func TestErrorsNameTopicAndGroup(t *testing.T) {
	ctx := t.Context()
	p := openMemory(t)
	topic, err := pubsub.Open(ctx, p, "orders")
	check.NoError(t, err)
	sub, err := pubsub.Subscribe(ctx, p, "orders", pubsub.Group("billing"))
	check.NoError(t, err)
	_, err = topic.Publish(ctx, pubsub.Message{})
	check.NoError(t, err)
	d, err := sub.Receive(ctx)
	check.NoError(t, err)
	check.NoError(t, d.Ack(ctx))
	ofSubscription := map[string]error{"Ack": d.Ack(ctx), "Nack": d.Nack(ctx, 0), "Extend": d.Extend(ctx)}
	_, ofSubscription["ReceiveMany"] = sub.ReceiveMany(ctx, 0)
	ofSubscription["Handle"] = sub.Handle(ctx, nil)
	check.NoError(t, pubsub.DeleteGroup(ctx, p, "orders", "billing"))
	_, ofSubscription["Receive"] = sub.Receive(ctx)
	for call, err := range ofSubscription {
		if err == nil || strings.Count(err.Error(), `topic "orders", group "billing"`) != 1 {
			t.Errorf("%s does not name the topic and the group: %v", call, err)
		}
	}
	check.NoError(t, topic.Close(context.Background()))
	_, one := topic.Publish(ctx, pubsub.Message{})
	_, many := topic.PublishMany(ctx, pubsub.Message{})
	for call, err := range map[string]error{"Publish": one, "PublishMany": many} {
		if err == nil || strings.Count(err.Error(), `topic "orders"`) != 1 {
			t.Errorf("%s does not name the topic: %v", call, err)
		}
	}
}
