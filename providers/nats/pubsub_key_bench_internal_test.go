package nats

import (
	"fmt"
	"testing"
	"time"

	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

// BenchmarkOrderedByKey receives and acknowledges a hundred messages at a time. The
// messages have no ordering key, all the same key, or one of a thousand keys.
func BenchmarkOrderedByKey(b *testing.B) {
	p := openProvider(b, testbed.NATS(b).URL())
	for _, keys := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			name := fmt.Sprintf("t%d-%d", keys, b.N)
			topic, err := p.OpenTopic(b.Context(), driver.TopicConfig{Name: name})
			if err != nil {
				b.Fatal(err)
			}
			s, err := p.OpenSubscription(b.Context(), driver.SubscriptionConfig{Topic: name, Group: "g", Start: driver.StartNew, AckDeadline: time.Minute})
			if err != nil {
				b.Fatal(err)
			}
			for sent := 0; sent < b.N; {
				msgs := make([]driver.Message, min(pubsubBatch, b.N-sent))
				for i := range msgs {
					if keys > 0 {
						msgs[i].Key = fmt.Sprint("k", (sent+i)%keys)
					}
				}
				for _, r := range topic.Send(b.Context(), msgs) {
					if r.Err != nil {
						b.Fatal(r.Err)
					}
				}
				sent += len(msgs)
			}
			b.ResetTimer()
			for got := 0; got < b.N; {
				got += receiveAndAck(b, s)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func receiveAndAck(b *testing.B, s driver.Subscription) int {
	ds, err := s.Receive(b.Context(), 100)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]driver.Settlement, len(ds))
	for i, d := range ds {
		all[i] = driver.Settlement{Token: d.Token, Kind: driver.Ack}
	}
	for _, err := range s.Settle(b.Context(), all) {
		if err != nil {
			b.Fatal(err)
		}
	}
	return len(ds)
}
