package nats_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub"
)

// slice is how long one side has its turn.
const slice = 40 * time.Millisecond

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
		var o, t float64
		if len(ratios)%2 == 0 { // neither side is always the first
			o, t = rate(ours), rate(theirs)
		} else {
			t, o = rate(theirs), rate(ours)
		}
		ratios, rates = append(ratios, o/t), append(rates, o)
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	b.ReportMetric(ratios[len(ratios)/2], "x-natsgo")
	b.ReportMetric(rates[len(rates)/2], "rounds/s")
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}

// callers runs call from n goroutines at once, 10 times each.
func callers(n int, call func(i int) error) func() error {
	return func() error {
		errs := make(chan error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				for range 10 {
					if err := call(i); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		return <-errs
	}
}

func check[V any](b *testing.B, v V, err error) V {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// BenchmarkPortableAgainstNATS compares what programs call with nats.go as
// people use it: one goroutine, and 64 with one call at a time each.
func BenchmarkPortableAgainstNATS(b *testing.B) {
	for name, opts := range map[string][]testbed.NATSOption{"default": nil, "sync always": {testbed.NATSSync("always")}} {
		b.Run(name, func(b *testing.B) { benchPortable(b, testbed.NATS(b, opts...)) })
	}
}

func benchPortable(b *testing.B, server *testbed.NATSServer) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	p, err := providers.Open(ctx, server.URL()+"?monitor="+server.MonitorURL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	s, err := kv.Open(ctx, p, "s")
	store := check(b, s, err)
	t, err := pubsub.Open(ctx, p, "t")
	topic := check(b, t, err)

	nc, err := natsgo.Connect(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	j, err := jetstream.New(nc)
	js := check(b, j, err)
	r, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "raw"})
	raw := check(b, r, err)
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
			contest(b,
				callers(n, func(i int) error { _, err := store.Get(ctx, keys[i]); return err }),
				callers(n, func(i int) error { _, err := raw.Get(ctx, keys[i]); return err }))
		})
		b.Run(fmt.Sprintf("put/%d callers", n), func(b *testing.B) {
			contest(b,
				callers(n, func(i int) error { _, err := store.Put(ctx, keys[i], value); return err }),
				callers(n, func(i int) error { _, err := raw.Put(ctx, keys[i], value); return err }))
		})
		b.Run(fmt.Sprintf("publish/%d callers", n), func(b *testing.B) {
			contest(b,
				callers(n, func(int) error { _, err := topic.Publish(ctx, pubsub.Message{Body: value}); return err }),
				callers(n, func(int) error { _, err := js.Publish(ctx, "raw", value); return err }))
		})
	}
}
