package dapr_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	sdk "github.com/dapr/go-sdk/client"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/redis"
)

// slice is how long one side has its turn.
const slice = 40 * time.Millisecond

// contest calls ours and theirs in turns for the benchmark's time, and reports
// how many times as fast ours is: the median over pairs of neighbouring turns,
// so that what else the machine does hits both alike.
func contest(b *testing.B, opponent string, ours, theirs func() error) {
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
	b.ReportMetric(ratios[len(ratios)/2], "x-"+opponent)
	b.ReportMetric(rates[len(rates)/2], "rounds/s")
	b.ReportMetric(0, "ns/op") // of a pair of turns: says nothing
}

// callers runs call from n goroutines at once, once each.
func callers(n int, call func(i int) error) func() error {
	return func() error {
		errs := make(chan error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if err := call(i); err != nil {
					errs <- err
				}
			})
		}
		wg.Wait()
		close(errs)
		return <-errs
	}
}

func benchStore(b *testing.B, url string, keys []string) *kv.Store {
	b.Helper()
	p, err := providers.Open(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	s, err := kv.Open(b.Context(), p, "bench")
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range keys {
		if _, err := s.Put(b.Context(), k, make([]byte, 256)); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkKV compares what programs call with the bare SDK on the same sidecar,
// and with the redis provider on the Redis behind it: what a sidecar costs.
// The SDK's SaveState overwrites without a look, and fails on this component for a
// key that was ever written conditionally; reading, and saving with the etag, is
// what does what Put does.
func BenchmarkKV(b *testing.B) {
	server := testbed.Redis(b)
	sidecar := testbed.Dapr(b, testbed.DaprRedis(server.Addr()))
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	store, direct := benchStore(b, sidecar.URL()+"?pubsub=-", keys), benchStore(b, server.URL(), keys)
	bare, err := sdk.NewClientWithAddressContext(b.Context(), sidecar.Addr())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(bare.Close)
	raw := bareStore{bare}
	value, ctx := make([]byte, 256), b.Context()
	for _, k := range keys {
		if err := errors.Join(raw.save(ctx, "blind"+k, value), raw.replace(ctx, k, value)); err != nil {
			b.Fatal(err)
		}
	}
	get := func(s *kv.Store) func(int) error {
		return func(i int) error { _, err := s.Get(ctx, keys[i]); return err }
	}
	put := func(s *kv.Store) func(int) error {
		return func(i int) error { _, err := s.Put(ctx, keys[i], value); return err }
	}
	for _, n := range []int{1, 64} {
		run := func(name, opponent string, ours, theirs func(int) error) {
			b.Run(fmt.Sprintf("%s/%d callers", name, n), func(b *testing.B) {
				contest(b, opponent, callers(n, ours), callers(n, theirs))
			})
		}
		run("get against SDK", "sdk", get(store), func(i int) error { return raw.get(ctx, keys[i]) })
		run("put against SDK's get and save with etag", "sdk", put(store), func(i int) error { return raw.replace(ctx, keys[i], value) })
		run("put against SDK's save", "sdk", put(store), func(i int) error { return raw.save(ctx, "blind"+keys[i], value) })
		run("get against redis", "redis", get(store), get(direct))
		run("put against redis", "redis", put(store), put(direct))
	}
}

// bareStore is the SDK as people use it.
type bareStore struct{ client sdk.Client }

func (s bareStore) get(ctx context.Context, key string) error {
	_, err := s.client.GetState(ctx, testbed.DaprState, key, nil)
	return err
}

func (s bareStore) save(ctx context.Context, key string, value []byte) error {
	return s.client.SaveState(ctx, testbed.DaprState, key, value, nil)
}

func (s bareStore) replace(ctx context.Context, key string, value []byte) error {
	item, err := s.client.GetState(ctx, testbed.DaprState, key, nil)
	if err != nil {
		return err
	}
	return s.client.SaveStateWithETag(ctx, testbed.DaprState, key, value, item.Etag, nil, sdk.WithConcurrency(sdk.StateConcurrencyFirstWrite))
}
