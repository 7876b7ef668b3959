package herdbench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/pubsub"
)

// BenchmarkHerd measures how many messages a group delivers to so many consumers,
// each with one Receive at a time, in so many opened providers, which share nothing.
// The rate must not fall with their number.
func BenchmarkHerd(b *testing.B) {
	for _, backend := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"memory", func(testing.TB) string { return "mem://herd" }},
		{"redis", func(b testing.TB) string { return testbed.Redis(b).URL() }},
		{"etcd", func(b testing.TB) string { return testbed.Etcd(b).URL() }},
		{"nats", func(b testing.TB) string { return testbed.NATS(b).URL() }},
	} {
		b.Run(backend.name, func(b *testing.B) {
			url := backend.url(b)
			for _, opens := range []int{1, 4} {
				for _, consumers := range []int{1, 4, 16, 64} {
					if consumers >= opens {
						b.Run(fmt.Sprintf("%d consumers in %d opens", consumers, opens), func(b *testing.B) {
							deliver(b, url, opens, consumers)
						})
					}
				}
			}
		})
	}
}

// deliver receives and acknowledges b.N messages.
func deliver(b *testing.B, url string, opens, consumers int) {
	topic := fmt.Sprintf("herd-%d-%d-%d", opens, consumers, b.N)
	var subs []*pubsub.Subscription
	for range opens {
		p := open(b, url)
		for range consumers / opens {
			s, err := pubsub.Subscribe(b.Context(), p, topic, pubsub.Group("g"))
			check.NoError(b, err)
			b.Cleanup(func() { _ = s.Close(context.Background()) })
			subs = append(subs, s)
		}
	}
	publish(b, open(b, url), topic, b.N)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var acked atomic.Int64
	b.ResetTimer()
	var running sync.WaitGroup
	for _, s := range subs {
		running.Go(func() {
			for {
				d, err := s.Receive(ctx)
				if ctx.Err() != nil {
					return
				}
				check.NoError(b, err)
				check.NoError(b, d.Ack(b.Context()))
				if acked.Add(1) == int64(b.N) {
					cancel()
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func open(b *testing.B, url string) fairlead.Provider {
	b.Helper()
	p, err := fairlead.Open(b.Context(), url)
	check.NoError(b, err)
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// publish publishes n messages of 256 bytes.
func publish(b *testing.B, p fairlead.Provider, name string, n int) {
	b.Helper()
	topic, err := pubsub.Open(b.Context(), p, name)
	check.NoError(b, err)
	defer topic.Close(context.Background())
	msgs := make([]pubsub.Message, n)
	for i := range msgs {
		msgs[i].Body = make([]byte, 256)
	}
	_, err = topic.PublishMany(b.Context(), msgs...)
	check.NoError(b, err)
}
