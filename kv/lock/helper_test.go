package lock_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
	"fairlead.dev/kv/lock"
	_ "fairlead.dev/providers/memory"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(holderURL); url != "" {
		holdUntilKilled(url)
		return
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// hook intercepts each operation between the locks and the store. do carries the
// operation out; a hook need not call it.
type hook func(ctx context.Context, op driver.Op, do func() driver.Result) driver.Result

// hooked is a memory provider whose operations pass through a hook. It may lack
// the claim Watch.
type hooked struct {
	driver.Provider
	mu      sync.Mutex
	hook    hook
	noWatch bool
}

func (p *hooked) set(h hook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = h
}

func (p *hooked) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.Provider.Describe(ctx)
	if !p.noWatch {
		return d, err
	}
	for i, f := range d.Facets {
		d.Facets[i].Claims = slices.DeleteFunc(slices.Clone(f.Claims), func(c fairlead.Claim) bool {
			return slices.Contains([]fairlead.Claim{kv.Watch, kv.WatchEvery, kv.WatchTxn}, c)
		})
	}
	return d, err
}

func (p *hooked) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s, err := p.Provider.OpenStore(ctx, c)
	return &hookedStore{s, p}, err
}

type hookedStore struct {
	driver.Store
	p *hooked
}

func (s *hookedStore) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	s.p.mu.Lock()
	h := s.p.hook
	s.p.mu.Unlock()
	results := make([]driver.Result, len(ops))
	for i, op := range ops {
		do := func() driver.Result { return s.Store.Do(ctx, []driver.Op{op})[0] }
		if h == nil {
			results[i] = do()
		} else {
			results[i] = h(ctx, op, do)
		}
	}
	return results
}

func newHooked(t *testing.T) *hooked {
	p, err := fairlead.Open(t.Context(), "mem://")
	must(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return &hooked{Provider: p.(driver.Provider)}
}

func openStore(t *testing.T, p fairlead.Provider, opts ...kv.Option) *kv.Store {
	t.Helper()
	s, err := kv.Open(t.Context(), p, "locks", opts...)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(context.Background())) })
	return s
}

func newMutex(t *testing.T, s *kv.Store, opts ...lock.Option) *lock.Mutex {
	t.Helper()
	m, err := lock.New(s, "m", opts...)
	must(t, err)
	return m
}

func mustLock(t *testing.T, m *lock.Mutex) *lock.Lease {
	t.Helper()
	l, err := m.Lock(t.Context())
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, want fairlead.Code) {
	t.Helper()
	if got := fairlead.CodeOf(err); got != want {
		t.Errorf("the error %v has the code %q, want %q", err, got, want)
	}
}

func isLost(l *lock.Lease) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// wantLost waits until a lease is lost.
func wantLost(t testing.TB, l *lock.Lease, within time.Duration) {
	t.Helper()
	select {
	case <-l.Lost():
	case <-time.After(within):
		t.Fatalf("the lease was not lost within %v", within)
	}
}
