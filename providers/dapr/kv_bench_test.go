package dapr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	sdk "github.com/dapr/go-sdk/client"

	"fairlead.dev"
	"fairlead.dev/internal/dev/contest"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/redis"
)

func benchStore(b *testing.B, url string, keys []string) *kv.Store {
	b.Helper()
	p, err := fairlead.Open(b.Context(), url)
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

// BenchmarkKV compares the kv facet with the SDK on the same sidecar, and with
// the redis provider on the same Redis. The last one shows what a sidecar costs.
// The SDK's SaveState overwrites without reading, and fails on this component for
// a key that was ever written conditionally. Reading the key and saving it with
// its etag does what Put does.
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
				contest.Run(b, opponent, contest.Callers(n, 1, ours), contest.Callers(n, 1, theirs))
			})
		}
		run("get against SDK", "sdk", get(store), func(i int) error { return raw.get(ctx, keys[i]) })
		run("put against SDK's get and save with etag", "sdk", put(store), func(i int) error { return raw.replace(ctx, keys[i], value) })
		run("put against SDK's save", "sdk", put(store), func(i int) error { return raw.save(ctx, "blind"+keys[i], value) })
		run("get against redis", "redis", get(store), get(direct))
		run("put against redis", "redis", put(store), put(direct))
	}
}

// bareStore uses the SDK as its users do.
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
