package nats

import (
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

// An old message is dropped if every group has acknowledged it, and only then.
func TestTrim(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL()+"?retention=100ms")
	top, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	topic := top.(*publisher)
	open := func(group string) driver.Subscription {
		s, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: group, Start: driver.StartNew, AckDeadline: time.Minute})
		check.NoError(t, err)
		return s
	}
	fast, slow := open("fast"), open("slow")
	for _, r := range topic.Send(t.Context(), make([]driver.Message, 10)) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	ack := func(s driver.Subscription, n int) {
		for n > 0 {
			got, err := s.Receive(t.Context(), n)
			check.NoError(t, err)
			for _, d := range got {
				check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0])
			}
			n -= len(got)
		}
	}
	first := func(want uint64) {
		t.Helper()
		check.NoError(t, topic.trim(t.Context()))
		info, err := p.streamInfo(t.Context(), topic.stream)
		if err != nil || info.State.First != want {
			t.Fatalf("the first message is %d, want %d: %v", info.State.First, want, err)
		}
	}
	ack(fast, 10)
	ack(slow, 4)
	time.Sleep(150 * time.Millisecond) // the messages grow old
	first(5)
	ack(slow, 6)
	first(11)
	for _, r := range topic.Send(t.Context(), make([]driver.Message, 1)) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	ack(fast, 1)
	ack(slow, 1)
	p.config.retention = time.Hour
	first(11) // the message is not old
}
