package redis

import (
	"slices"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

// Idle consumers that hold nothing are removed. One that holds a message is kept,
// because the message would be lost with it.
func TestTrimRemovesIdleConsumers(t *testing.T) {
	server := testbed.Redis(t)
	opened, err := fairlead.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	p := opened.(*provider)
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	var consumers []string
	for range 2 {
		s, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{
			Topic: "orders", Group: "g", Start: driver.StartNew, AckDeadline: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "orders"})
		if err != nil {
			t.Fatal(err)
		}
		if r := topic.Send(t.Context(), []driver.Message{{}}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		got, err := s.Receive(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(consumers) == 0 { // the second holds its message
			if err := s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: driver.Ack}})[0]; err != nil {
				t.Fatal(err)
			}
		}
		consumers = append(consumers, s.(*groupSubscription).consumer)
	}
	expectConsumers(t, p, consumers, idleConsumerAge)
	expectConsumers(t, p, consumers[1:], 0)
}

func expectConsumers(t *testing.T, p *provider, want []string, idleAge time.Duration) {
	t.Helper()
	trimmer := trimmer{p: p, keys: p.topicKeys("orders")}
	if err := trimmer.trim(t.Context(), idleAge); err != nil {
		t.Fatal(err)
	}
	infos, err := p.client.XInfoConsumers(t.Context(), trimmer.keys.stream, "g").Result()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range infos {
		got = append(got, c.Name)
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Fatalf("consumers %q, want %q", got, want)
	}
}
