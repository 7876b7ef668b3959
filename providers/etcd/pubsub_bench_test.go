package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"fairlead.dev/internal/dev/check"
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
			check.NoError(b, err)
			defer topic.Close(context.Background())
			share(b, callers, func() error {
				_, err := topic.Publish(b.Context(), pubsub.Message{Body: make([]byte, 256)})
				return err
			})
		})
		b.Run(fmt.Sprintf("receive and ack/%d", callers), func(b *testing.B) {
			ctx, name := b.Context(), fmt.Sprintf("receive-%d-%d", callers, b.N)
			s, err := pubsub.Subscribe(ctx, p, name, pubsub.Group("g"))
			check.NoError(b, err)
			defer s.Close(context.Background())
			publishMany(b, server.URL(), name, b.N)
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

// publishMany publishes n messages of 256 bytes.
func publishMany(b *testing.B, url, name string, n int) {
	b.Helper()
	topic, err := pubsub.Open(b.Context(), open(b, url), name)
	check.NoError(b, err)
	defer topic.Close(context.Background())
	msgs := make([]pubsub.Message, n)
	for i := range msgs {
		msgs[i].Body = make([]byte, 256)
	}
	_, err = topic.PublishMany(b.Context(), msgs...)
	check.NoError(b, err)
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
