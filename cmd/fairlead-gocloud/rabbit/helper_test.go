package rabbit

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/pubsub"
)

// patience is how long to wait for an event that must happen.
const patience = 30 * time.Second

func open(t *testing.T, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	check.NoError(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func subscribe(t *testing.T, p fairlead.Provider, topic string, opts ...pubsub.SubscribeOption) *pubsub.Subscription {
	t.Helper()
	s, err := pubsub.Subscribe(t.Context(), p, topic, opts...)
	check.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func publish(t *testing.T, p fairlead.Provider, topic string, bodies ...string) {
	t.Helper()
	to, err := pubsub.Open(t.Context(), p, topic)
	check.NoError(t, err)
	defer to.Close(t.Context())
	for _, b := range bodies {
		_, err := to.Publish(t.Context(), pubsub.Message{Body: []byte(b)})
		check.NoError(t, err)
	}
}

// receive returns n messages by their bodies.
func receive(t *testing.T, s *pubsub.Subscription, n int) map[string]*pubsub.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := map[string]*pubsub.Delivery{}
	for len(got) < n {
		d, err := s.Receive(ctx)
		if err != nil {
			t.Fatalf("%d of %d messages came: %v", len(got), n, err)
		}
		got[string(d.Body)] = d
	}
	return got
}

// admin returns an AMQP channel, for actions of an operator.
func admin(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	check.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	check.NoError(t, err)
	return ch
}

func contextWithin(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
