package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub"
)

// BenchmarkPubSub measures how many messages of 256 bytes can be published, and how
// many a group can deliver. Each caller publishes one message at a time. The
// consumers run in one process, and acknowledge each message on its own.
func BenchmarkPubSub(b *testing.B) {
	server := testbed.Etcd(b)
	p := open(b, server.URL())
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("publish/%d", callers), func(b *testing.B) {
			topic, err := pubsub.Open(b.Context(), p, "publish")
			must(b, err)
			defer topic.Close(context.Background())
			share(b, callers, func() error {
				_, err := topic.Publish(b.Context(), pubsub.Message{Body: make([]byte, 256)})
				return err
			})
		})
		b.Run(fmt.Sprintf("receive and ack/%d", callers), func(b *testing.B) {
			ctx, name := b.Context(), fmt.Sprintf("receive-%d-%d", callers, b.N)
			s, err := pubsub.Subscribe(ctx, p, name, pubsub.Group("g"))
			must(b, err)
			defer s.Close(context.Background())
			topic, err := pubsub.Open(ctx, p, name)
			must(b, err)
			defer topic.Close(context.Background())
			msgs := make([]pubsub.Message, b.N)
			for i := range msgs {
				msgs[i].Body = make([]byte, 256)
			}
			_, err = topic.PublishMany(ctx, msgs...)
			must(b, err)
			b.ResetTimer()
			share(b, callers, func() error {
				d, err := s.Receive(ctx)
				if err != nil {
					return err
				}
				return d.Ack(ctx)
			})
		})
	}
}

// share distributes b.N calls over callers.
func share(b *testing.B, callers int, f func() error) {
	b.Helper()
	calls := make(chan struct{}, b.N)
	for range b.N {
		calls <- struct{}{}
	}
	close(calls)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range calls {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
