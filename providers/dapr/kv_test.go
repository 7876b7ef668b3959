package dapr_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

func openStore(t *testing.T, p fairlead.Provider, name string) driver.Store {
	t.Helper()
	s, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: name})
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, s.Close(context.Background())) })
	return s
}

func do(ctx context.Context, s driver.Store, op driver.Op) driver.Result {
	return s.Do(ctx, []driver.Op{op})[0]
}

func put(t *testing.T, s driver.Store, key, value string) driver.Revision {
	t.Helper()
	r := do(t.Context(), s, driver.Op{Kind: driver.OpPut, Key: key, Value: []byte(value)})
	check.NoError(t, r.Err)
	return r.Revision
}

func get(s driver.Store, key string) (string, error) {
	r := do(context.Background(), s, driver.Op{Kind: driver.OpGet, Key: key})
	return string(r.Value), r.Err
}

// TestSidecarRestarts: the same handle works again.
func TestSidecarRestarts(t *testing.T) {
	sidecar := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr()))
	s := openStore(t, open(t, sidecar.URL()+"?probe-interval=50ms"), "s")
	put(t, s, "k", "1")
	for _, down := range []func(context.Context) error{sidecar.Kill, sidecar.Stop} {
		check.NoError(t, down(t.Context()))
		_, err := get(s, "k")
		check.Code(t, err, fairlead.Unavailable)
		check.Code(t, do(t.Context(), s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err, fairlead.Unavailable)
		check.NoError(t, sidecar.Start(t.Context()))
		check.Eventually(t, "a read after the restart", func() bool { v, err := get(s, "k"); return err == nil && v == "1" })
	}
}

// TestFrozen: calls end with their context when the sidecar or the backend
// freezes.
func TestFrozen(t *testing.T) {
	redis := testbed.Redis(t)
	sidecar := testbed.Dapr(t, testbed.DaprRedis(redis.Addr()))
	s := openStore(t, open(t, sidecar.URL()), "s")
	put(t, s, "k", "1")
	for what, p := range map[string]interface {
		Pause(context.Context) error
		Continue(context.Context) error
	}{"sidecar": sidecar, "redis": redis} {
		check.NoError(t, p.Pause(t.Context()))
		for _, kind := range []driver.OpKind{driver.OpGet, driver.OpPut} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			began := time.Now()
			err := do(ctx, s, driver.Op{Kind: kind, Key: "k", Value: []byte("2")}).Err
			cancel()
			if code := fairlead.CodeOf(err); code != fairlead.DeadlineExceeded || time.Since(began) > 5*time.Second {
				t.Errorf("%s: after %v: %v", what, time.Since(began), err)
			}
		}
		check.NoError(t, p.Continue(t.Context()))
		check.Eventually(t, "a read afterwards", func() bool { v, err := get(s, "k"); return err == nil && v == "1" })
	}
}

// writesOf returns one write of each kind: writes to "k", whose revision is rev,
// and a Create of "new".
func writesOf(rev driver.Revision) []driver.Op {
	return []driver.Op{
		{Kind: driver.OpPut, Key: "k"}, {Kind: driver.OpCAS, Key: "k", Revision: rev}, {Kind: driver.OpCreate, Key: "new"},
	}
}

// TestLostAnswerOfComponent cuts the connection between the sidecar and Redis
// after Redis has carried out a write and before it answers. The component tries
// again, and then reports that the etag does not match. The provider finds out
// that the write was made.
func TestLostAnswerOfComponent(t *testing.T) {
	redis := testbed.Redis(t)
	proxy := testbed.Proxy(t, redis.Addr())
	s := openStore(t, open(t, testbed.Dapr(t, testbed.DaprRedis(proxy.Addr())).URL()), "s")
	for i, op := range writesOf(put(t, s, "k", "0")) {
		op.Value = fmt.Append(nil, "swallowed", i)
		if op.Kind == driver.OpCAS {
			op.Revision = do(t.Context(), s, driver.Op{Kind: driver.OpGet, Key: "k"}).Revision
		}
		trap := proxy.SwallowReply(op.Value)
		r := do(t.Context(), s, op)
		<-trap.Sprung()
		check.NoError(t, r.Err)
		got := do(t.Context(), s, driver.Op{Kind: driver.OpGet, Key: op.Key})
		if string(got.Value) != string(op.Value) || got.Revision != r.Revision {
			t.Errorf("the key holds %q with the revision %q, want %q with %q: %v", got.Value, got.Revision, op.Value, r.Revision, got.Err)
		}
	}
}

// TestLostAnswerOfSidecar cuts the connection between the program and the sidecar
// in the same way.
func TestLostAnswerOfSidecar(t *testing.T) {
	sidecar := testbed.Dapr(t, testbed.DaprInMemory())
	proxy := testbed.Proxy(t, sidecar.Addr())
	s := openStore(t, open(t, "dapr://"+proxy.Addr()), "s")
	for i, op := range writesOf(put(t, s, "k", "0")) {
		op.Value = fmt.Append(nil, "swallowed", i)
		if op.Kind == driver.OpCAS {
			op.Revision = do(t.Context(), s, driver.Op{Kind: driver.OpGet, Key: "k"}).Revision
		}
		trap := proxy.SwallowReply(op.Value)
		r := do(t.Context(), s, op)
		<-trap.Sprung()
		if code := fairlead.CodeOf(r.Err); code != 0 && code != fairlead.UnknownOutcome {
			t.Errorf("%v", r.Err)
		}
		check.Eventually(t, "a read afterwards", func() bool { v, err := get(s, op.Key); return err == nil && v == string(op.Value) })
	}
}

// TestRivals: two programs that put the same key succeed. The outcome of a write
// is unknown if so many writes of the other program came after it that the
// record no longer names it.
func TestRivals(t *testing.T) {
	sidecar := testbed.Dapr(t, testbed.DaprRedis(testbed.Redis(t).Addr()))
	var mu sync.Mutex
	seen := map[driver.Revision]bool{}
	var wg sync.WaitGroup
	for range 2 {
		s := openStore(t, open(t, sidecar.URL()), "s")
		for w := range 8 {
			wg.Go(func() {
				for i := range 10 {
					r := do(t.Context(), s, driver.Op{Kind: driver.OpPut, Key: "k", Value: fmt.Append(nil, w, i)})
					mu.Lock()
					if code := fairlead.CodeOf(r.Err); code != 0 && code != fairlead.UnknownOutcome || seen[r.Revision] {
						t.Errorf("revision %q: %v", r.Revision, r.Err)
					}
					if r.Err == nil {
						seen[r.Revision] = true
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if len(seen) < 100 {
		t.Errorf("only %d of 160 writes are known to have been made", len(seen))
	}
}

// TestForeignValue: a value of another program is not read as a record.
func TestForeignValue(t *testing.T) {
	p := open(t, testbed.Dapr(t, testbed.DaprInMemory()).URL())
	s := openStore(t, p, "s")
	var client runtimev1.DaprClient
	fairlead.As(p, &client)
	_, err := client.SaveState(t.Context(), stateOf("fairlead/kv/s/k", "foreign"))
	check.NoError(t, err)
	_, err = get(s, "k")
	check.Code(t, err, fairlead.Internal)
	r := do(t.Context(), s, driver.Op{Kind: driver.OpPut, Key: "k"})
	check.Code(t, r.Err, fairlead.Internal)
	if !strings.Contains(r.Err.Error(), "prefix") {
		t.Errorf("%v", r.Err)
	}
}

func stateOf(key, value string) *runtimev1.SaveStateRequest {
	return &runtimev1.SaveStateRequest{StoreName: testbed.DaprState, States: []*commonv1.StateItem{{Key: key, Value: []byte(value)}}}
}
