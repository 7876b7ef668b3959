package redis_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/internal/dev/contest"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

// BenchmarkKVAgainstGoRedis compares the driver with plain go-redis, on one server
// with appendonly yes and appendfsync always. A put does more than a SET: it also
// writes a revision, the index and the log of changes.
func BenchmarkKVAgainstGoRedis(b *testing.B) {
	server := testbed.Redis(b)
	p := open(b, server.URL())
	s := openStore(b, p, "bench")
	u, err := url.Parse(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	raw := goredis.NewClient(&goredis.Options{Addr: u.Host, MaxRetries: -1, ContextTimeoutEnabled: true})
	b.Cleanup(func() { _ = raw.Close() })

	ctx, cancel := context.WithCancel(b.Context()) // as a server's handler does
	defer cancel()
	value := make([]byte, 256)
	mustPut(b, s, "k", string(value), 0)
	if err := raw.Set(ctx, "raw", value, 0).Err(); err != nil {
		b.Fatal(err)
	}
	do := func(ctx context.Context, ops ...driver.Op) func() error {
		return func() error {
			for _, r := range s.Do(ctx, ops) {
				if r.Err != nil {
					return r.Err
				}
			}
			return nil
		}
	}
	get := driver.Op{Kind: driver.OpGet, Key: "k"}
	put := driver.Op{Kind: driver.OpPut, Key: "k", Value: value}
	rawGet := func() error { return raw.Get(ctx, "raw").Err() }
	rawSet := func() error { return raw.Set(ctx, "raw", value, 0).Err() }

	b.Run("get/lone", func(b *testing.B) { contest.Run(b, "goredis", do(ctx, get), rawGet) })
	b.Run("get/lone, context without end", func(b *testing.B) { contest.Run(b, "goredis", do(context.Background(), get), rawGet) })
	b.Run("put/lone", func(b *testing.B) { contest.Run(b, "goredis", do(ctx, put), rawSet) })
	for _, n := range []int{16, 64, 256} {
		gets, puts := make([]driver.Op, n), make([]driver.Op, n)
		for i := range n {
			gets[i] = get
			puts[i] = put
			puts[i].Key = fmt.Sprint("k", i)
		}
		pipeline := func(add func(goredis.Pipeliner)) func() error {
			return func() error {
				_, err := raw.Pipelined(ctx, func(p goredis.Pipeliner) error {
					for range n {
						add(p)
					}
					return nil
				})
				return err
			}
		}
		b.Run(fmt.Sprintf("get/batch %d, against a pipeline", n), func(b *testing.B) {
			contest.Run(b, "goredis", do(ctx, gets...), pipeline(func(p goredis.Pipeliner) { p.Get(ctx, "raw") }))
		})
		b.Run(fmt.Sprintf("put/batch %d, against a pipeline", n), func(b *testing.B) {
			contest.Run(b, "goredis", do(ctx, puts...), pipeline(func(p goredis.Pipeliner) { p.Set(ctx, "raw", value, 0) }))
		})
	}
}
