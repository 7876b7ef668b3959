package redis_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv/driver"
)

// slice is how long one side runs before the other one has its turn.
const slice = 25 * time.Millisecond

// contest calls ours and theirs in turns for the benchmark's time, and reports
// how many times as fast ours is: the median over pairs of neighbouring turns,
// so that what else the machine does hits both alike.
func contest(b *testing.B, ours, theirs func() error) {
	b.Helper()
	rate := func(f func() error) float64 {
		n, start := 0, time.Now()
		for time.Since(start) < slice {
			if err := f(); err != nil {
				b.Fatal(err)
			}
			n++
		}
		return float64(n) / time.Since(start).Seconds()
	}
	rate(ours)
	rate(theirs)
	var ratios, rates []float64
	for b.Loop() {
		if len(ratios)%2 == 0 { // neither side is always the first
			o, t := rate(ours), rate(theirs)
			ratios, rates = append(ratios, o/t), append(rates, o)
		} else {
			t, o := rate(theirs), rate(ours)
			ratios, rates = append(ratios, o/t), append(rates, o)
		}
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	b.ReportMetric(ratios[len(ratios)/2], "x-goredis")
	b.ReportMetric(rates[len(rates)/2], "calls/s")
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}

// BenchmarkKVAgainstGoRedis compares the driver with go-redis as people use
// it, on one server with appendonly yes and appendfsync always. The put does
// more than a SET: revision, index and change log.
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

	ctx, cancel := context.WithCancel(b.Context()) // as in a server's handler
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

	b.Run("get/lone", func(b *testing.B) { contest(b, do(ctx, get), rawGet) })
	b.Run("get/lone, context without end", func(b *testing.B) { contest(b, do(context.Background(), get), rawGet) })
	b.Run("put/lone", func(b *testing.B) { contest(b, do(ctx, put), rawSet) })
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
			contest(b, do(ctx, gets...), pipeline(func(p goredis.Pipeliner) { p.Get(ctx, "raw") }))
		})
		b.Run(fmt.Sprintf("put/batch %d, against a pipeline", n), func(b *testing.B) {
			contest(b, do(ctx, puts...), pipeline(func(p goredis.Pipeliner) { p.Set(ctx, "raw", value, 0) }))
		})
	}
}
