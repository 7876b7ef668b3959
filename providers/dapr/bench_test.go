package dapr_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"sync"
	"testing"

	sdk "github.com/dapr/go-sdk/client"
	sdkcommon "github.com/dapr/go-sdk/service/common"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"fairlead.dev"
	"fairlead.dev/internal/dev/contest"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/pubsub"
	"fairlead.dev/rpc"
)

func valueOf[V any](b *testing.B, v V, err error) V {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// benchBackend is a sidecar on a Redis, our provider and the SDK's client.
type benchBackend struct {
	redis  *testbed.RedisServer
	p      fairlead.Provider
	client sdk.Client
}

func newBenchBackend(b *testing.B) benchBackend {
	redis := testbed.Redis(b)
	s := testbed.Dapr(b, broker(redis.Addr(), "a", "a", "native", "native")...)
	p := benchOpen(b, s.URL()+"?pubsub=a&clock-skew=20ms")
	sdk.SetLogger(log.New(io.Discard, "", 0))
	client, err := sdk.NewClientWithAddressContext(b.Context(), s.Addr())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	return benchBackend{redis, p, client}
}

func benchOpen(b *testing.B, url string) fairlead.Provider {
	p, err := fairlead.Open(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func benchTopic(b *testing.B, p fairlead.Provider, name string) *pubsub.Topic {
	t, err := pubsub.Open(b.Context(), p, name)
	return valueOf(b, t, err)
}

// BenchmarkPublish compares publishing with this provider, with the SDK as its
// users use it, and with the redis provider on the same Redis. The last one shows
// what a sidecar costs.
func BenchmarkPublish(b *testing.B) {
	back := newBenchBackend(b)
	ctx := b.Context()
	body := make([]byte, 256)
	msgs, events := make([]pubsub.Message, 100), make([]any, 100)
	for i := range msgs {
		msgs[i].Body, events[i] = body, body
	}
	publishing := func(t *pubsub.Topic) func(int) error {
		return func(int) error { _, err := t.Publish(ctx, pubsub.Message{Body: body}); return err }
	}
	batch := func(t *pubsub.Topic) func() error {
		return func() error { _, err := t.PublishMany(ctx, msgs...); return err }
	}
	ours := benchTopic(b, back.p, "ours")
	straight := benchTopic(b, benchOpen(b, back.redis.URL()), "straight")
	theirs := func(int) error {
		return back.client.PublishEvent(ctx, "a", "theirs", body, sdk.PublishEventWithContentType("application/octet-stream"))
	}
	theirBatch := func() error {
		return back.client.PublishEvents(ctx, "a", "theirs", events, sdk.PublishEventsWithContentType("application/octet-stream")).Error
	}
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("sdk/%d callers", n), func(b *testing.B) {
			contest.Run(b, "sdk", contest.Callers(n, 1, publishing(ours)), contest.Callers(n, 1, theirs))
		})
		b.Run(fmt.Sprintf("redis/%d callers", n), func(b *testing.B) {
			contest.Run(b, "redis", contest.Callers(n, 1, publishing(ours)), contest.Callers(n, 1, publishing(straight)))
		})
	}
	b.Run("sdk/batch of 100", func(b *testing.B) { contest.Run(b, "sdk", batch(ours), theirBatch) })
	b.Run("redis/batch of 100", func(b *testing.B) { contest.Run(b, "redis", batch(ours), batch(straight)) })
}

// BenchmarkDeliver compares the time that 100 messages take from their
// publication to their acknowledgement.
func BenchmarkDeliver(b *testing.B) {
	back := newBenchBackend(b)
	ctx := b.Context()
	msgs, events := make([]pubsub.Message, 100), make([]any, 100)
	for i := range msgs {
		body := make([]byte, 256)
		msgs[i].Body, events[i] = body, body
	}
	through := func(p fairlead.Provider) func() error {
		topic := benchTopic(b, p, "through")
		s, err := pubsub.Subscribe(ctx, p, "through", pubsub.Group("g"))
		sub := valueOf(b, s, err)
		return func() error {
			if _, err := topic.PublishMany(ctx, msgs...); err != nil {
				return err
			}
			for n := 0; n < len(msgs); {
				ds, err := sub.ReceiveMany(ctx, len(msgs))
				if err != nil {
					return err
				}
				if err := acknowledge(ctx, ds); err != nil {
					return err
				}
				n += len(ds)
			}
			return nil
		}
	}
	ours := through(back.p)
	b.Run("sdk", func(b *testing.B) { contest.Run(b, "sdk", ours, sdkThrough(b, back.client, events)) })
	straight := through(benchOpen(b, back.redis.URL()))
	b.Run("redis", func(b *testing.B) { contest.Run(b, "redis", ours, straight) })
}

// acknowledge acknowledges all at once, as handlers do.
func acknowledge(ctx context.Context, ds []*pubsub.Delivery) error {
	errs := make(chan error, len(ds))
	var wg sync.WaitGroup
	for _, d := range ds {
		wg.Go(func() { errs <- d.Ack(ctx) })
	}
	wg.Wait()
	for range ds {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func sdkThrough(b *testing.B, client sdk.Client, events []any) func() error {
	ctx := b.Context()
	got := make(chan struct{}, len(events))
	stop, err := client.SubscribeWithHandler(ctx, sdk.SubscriptionOptions{PubsubName: "native", Topic: "native"},
		func(*sdkcommon.TopicEvent) sdkcommon.SubscriptionResponseStatus {
			got <- struct{}{}
			return sdkcommon.SubscriptionResponseStatusSuccess
		})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stop() })
	return func() error {
		err := client.PublishEvents(ctx, "native", "native", events, sdk.PublishEventsWithContentType("application/octet-stream")).Error
		for range events {
			<-got
		}
		return err
	}
}

// BenchmarkCall compares unary calls of this provider through two sidecars with
// calls of plain stubs to a plain server, which is how people use Dapr.
func BenchmarkCall(b *testing.B) {
	names := filepath.Join(b.TempDir(), "names.db")
	port := testbed.Port(b)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		b.Fatal(err)
	}
	plain := grpc.NewServer()
	pb.RegisterTestServiceServer(plain, &greeter{})
	go func() { _ = plain.Serve(l) }()
	b.Cleanup(plain.Stop)
	sidecar := func(id string, port int) *testbed.DaprSidecar {
		return testbed.Dapr(b, testbed.DaprInMemory(), testbed.DaprNames(names), testbed.DaprApp(id), testbed.DaprAppPort(port))
	}
	sidecar("theirs", port)
	ours, client := sidecar("ours", testbed.Port(b)), sidecar("client", testbed.Port(b))
	ctx := b.Context()
	srv, err := rpc.NewServer(ctx, benchOpen(b, ours.URL()), "ours")
	if err != nil {
		b.Fatal(err)
	}
	pb.RegisterTestServiceServer(srv, &greeter{})
	if err := srv.Listen(ctx); err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(context.WithoutCancel(ctx)) }()
	b.Cleanup(srv.Stop)
	conn, err := rpc.Dial(ctx, benchOpen(b, client.URL()), "ours")
	if err != nil {
		b.Fatal(err)
	}
	straight, err := grpc.NewClient(client.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = straight.Close() })
	theirs := metadata.AppendToOutgoingContext(ctx, "dapr-app-id", "theirs")
	call := func(ctx context.Context, conn grpc.ClientConnInterface) func(int) error {
		c := pb.NewTestServiceClient(conn)
		in := &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 256)}}
		return func(int) error { _, err := c.UnaryCall(ctx, in); return err }
	}
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d callers", n), func(b *testing.B) {
			contest.Run(b, "stubs", contest.Callers(n, 1, call(ctx, conn)), contest.Callers(n, 1, call(theirs, straight)))
		})
	}
}
