package nats_test

import (
	"context"
	"fmt"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"fairlead.dev"
	"fairlead.dev/internal/dev/contest"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

func valueOf[V any](b *testing.B, v V, err error) V {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// BenchmarkPortableAgainstNATS compares the packages that programs call with
// nats.go as people use it. It measures one goroutine, and 64 goroutines that make
// one call at a time each.
func BenchmarkPortableAgainstNATS(b *testing.B) {
	for name, opts := range map[string][]testbed.NATSOption{"default": nil, "sync always": {testbed.NATSSync("always")}} {
		b.Run(name, func(b *testing.B) { benchPortable(b, testbed.NATS(b, opts...)) })
	}
}

func benchPortable(b *testing.B, server *testbed.NATSServer) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	p, err := fairlead.Open(ctx, server.URL()+"?monitor="+server.MonitorURL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	s, err := kv.Open(ctx, p, "s")
	store := valueOf(b, s, err)
	t, err := pubsub.Open(ctx, p, "t")
	topic := valueOf(b, t, err)

	nc, err := natsgo.Connect(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	j, err := jetstream.New(nc)
	js := valueOf(b, j, err)
	r, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "raw"})
	raw := valueOf(b, r, err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "raw", Subjects: []string{"raw"}})
	if err != nil {
		b.Fatal(err)
	}

	value := make([]byte, 256)
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		if _, err := store.Put(ctx, keys[i], value); err != nil {
			b.Fatal(err)
		}
		if _, err := raw.Put(ctx, keys[i], value); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("get/%d callers", n), func(b *testing.B) {
			contest.Run(b, "natsgo",
				contest.Callers(n, 10, func(i int) error { _, err := store.Get(ctx, keys[i]); return err }),
				contest.Callers(n, 10, func(i int) error { _, err := raw.Get(ctx, keys[i]); return err }))
		})
		b.Run(fmt.Sprintf("put/%d callers", n), func(b *testing.B) {
			contest.Run(b, "natsgo",
				contest.Callers(n, 10, func(i int) error { _, err := store.Put(ctx, keys[i], value); return err }),
				contest.Callers(n, 10, func(i int) error { _, err := raw.Put(ctx, keys[i], value); return err }))
		})
		b.Run(fmt.Sprintf("publish/%d callers", n), func(b *testing.B) {
			contest.Run(b, "natsgo",
				contest.Callers(n, 10, func(int) error { _, err := topic.Publish(ctx, pubsub.Message{Body: value}); return err }),
				contest.Callers(n, 10, func(int) error { _, err := js.Publish(ctx, "raw", value); return err }))
		})
	}
}
