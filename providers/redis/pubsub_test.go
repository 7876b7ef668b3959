package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

const longLease = time.Minute

// topicTest is a topic, and the provider through which a test reaches it.
type topicTest struct {
	testing.TB
	p    driver.Provider
	name string
}

// newTopicTest opens a provider on the server. query holds names and values of
// settings.
func newTopicTest(t testing.TB, s *testbed.RedisServer, query ...string) topicTest {
	t.Helper()
	return topicTest{t, openPubsub(t, s.URL(), query...), "orders"}
}

func openPubsub(t testing.TB, rawURL string, query ...string) driver.Provider {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return open(t, rawURL+"?"+values.Encode()).(driver.Provider)
}

func (t topicTest) topic() driver.Topic {
	t.Helper()
	topic, err := t.p.OpenTopic(t.Context(), driver.TopicConfig{Name: t.name})
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func (t topicTest) subscribe(c driver.SubscriptionConfig) driver.Subscription {
	t.Helper()
	s, err := t.trySubscribe(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (t topicTest) trySubscribe(c driver.SubscriptionConfig) (driver.Subscription, error) {
	c.Topic = t.name
	if c.Start == 0 {
		c.Start = driver.StartEarliest
	}
	if c.AckDeadline == 0 {
		c.AckDeadline = longLease
	}
	return t.p.OpenSubscription(t.Context(), c)
}

// send publishes messages and fails the test unless all are stored.
func (t topicTest) send(topic driver.Topic, msgs ...driver.Message) []driver.SendResult {
	t.Helper()
	results := topic.Send(t.Context(), msgs)
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("message %d: %v", i, r.Err)
		}
	}
	return results
}

func (t topicTest) sendBodies(topic driver.Topic, bodies ...string) []driver.SendResult {
	t.Helper()
	msgs := make([]driver.Message, len(bodies))
	for i, b := range bodies {
		msgs[i].Body = []byte(b)
	}
	return t.send(topic, msgs...)
}

// patience is how long a test waits for an event that must happen.
const patience = 20 * time.Second

// receive returns the next n deliveries.
func (t topicTest) receive(s driver.Subscription, n int) []driver.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []driver.Delivery
	for len(out) < n {
		got, err := s.Receive(ctx, n-len(out))
		if err != nil {
			t.Fatalf("Receive, after %d of %d: %v", len(out), n, err)
		}
		out = append(out, got...)
	}
	return out
}

// receiveBodies fails the test unless the next deliveries have these bodies.
func (t topicTest) receiveBodies(s driver.Subscription, want ...string) []driver.Delivery {
	t.Helper()
	out := t.receive(s, len(want))
	for i, d := range out {
		if string(d.Body) != want[i] {
			t.Fatalf("delivery %d is %q, want %q", i, d.Body, want[i])
		}
	}
	return out
}

// wantNoDelivery fails the test if a message is delivered within a short time.
func (t topicTest) wantNoDelivery(s driver.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	got, err := s.Receive(ctx, 1)
	if !errors.Is(err, fairlead.DeadlineExceeded) {
		t.Fatalf("Receive returned %d deliveries and %v, want none", len(got), err)
	}
}

func settle(ctx context.Context, s driver.Subscription, kind driver.SettleKind, delay time.Duration, ds ...driver.Delivery) []error {
	all := make([]driver.Settlement, len(ds))
	for i, d := range ds {
		all[i] = driver.Settlement{Token: d.Token, Kind: kind, Delay: delay}
	}
	return s.Settle(ctx, all)
}

func (t topicTest) settle(s driver.Subscription, kind driver.SettleKind, delay time.Duration, ds ...driver.Delivery) {
	t.Helper()
	if err := errors.Join(settle(t.Context(), s, kind, delay, ds...)...); err != nil {
		t.Fatalf("Settle: %v", err)
	}
}

func (t topicTest) ack(s driver.Subscription, ds ...driver.Delivery) {
	t.Helper()
	t.settle(s, driver.Ack, 0, ds...)
}

// wantConflict fails the test unless the settlement is a conflict.
func (t topicTest) wantConflict(s driver.Subscription, kind driver.SettleKind, d driver.Delivery) {
	t.Helper()
	if err := settle(t.Context(), s, kind, 0, d)[0]; !errors.Is(err, fairlead.Conflict) {
		t.Fatalf("settling with a lost lease: %v, want a conflict", err)
	}
}

func (t topicTest) close(s driver.Subscription) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func numbered(format string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}
