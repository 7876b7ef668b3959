package redis_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/contest"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// BenchmarkPortableAgainstGoRedis compares the portable types with plain go-redis:
// with one goroutine, and with 64 that make one call at a time each. The portable
// types group the calls of the 64 into pipelines.
func BenchmarkPortableAgainstGoRedis(b *testing.B) {
	server := testbed.Redis(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	p, err := fairlead.Open(ctx, server.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close(context.Background()) })
	store, err := kv.Open(ctx, p, "s")
	if err != nil {
		b.Fatal(err)
	}
	topic, err := pubsub.Open(ctx, p, "t")
	if err != nil {
		b.Fatal(err)
	}
	u, err := url.Parse(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	raw := goredis.NewClient(&goredis.Options{Addr: u.Host, MaxRetries: -1, ContextTimeoutEnabled: true, PoolSize: 64})
	b.Cleanup(func() { _ = raw.Close() })

	value := make([]byte, 256)
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		_, err := store.Put(ctx, keys[i], value)
		if err == nil {
			err = raw.Set(ctx, keys[i], value, 0).Err()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("get/%d callers", n), func(b *testing.B) {
			contest.Run(b, "goredis",
				contest.Callers(n, 20, func(i int) error { _, err := store.Get(ctx, keys[i]); return err }),
				contest.Callers(n, 20, func(i int) error { return raw.Get(ctx, keys[i]).Err() }))
		})
		b.Run(fmt.Sprintf("put/%d callers", n), func(b *testing.B) {
			contest.Run(b, "goredis",
				contest.Callers(n, 20, func(i int) error { _, err := store.Put(ctx, keys[i], value); return err }),
				contest.Callers(n, 20, func(i int) error { return raw.Set(ctx, keys[i], value, 0).Err() }))
		})
		b.Run(fmt.Sprintf("publish/%d callers", n), func(b *testing.B) {
			contest.Run(b, "goredis",
				contest.Callers(n, 20, func(int) error { _, err := topic.Publish(ctx, pubsub.Message{Body: value}); return err }),
				contest.Callers(n, 20, func(int) error {
					return raw.XAdd(ctx, &goredis.XAddArgs{Stream: "raw", Values: []any{"body", value}}).Err()
				}))
		})
	}
}
