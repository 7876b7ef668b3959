package etcd_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/kv/driver"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func open(t testing.TB, rawURL string, opts ...fairlead.Option) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), rawURL, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

func openStore(t testing.TB, p fairlead.Provider, name string) driver.Store {
	t.Helper()
	s, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: name})
	check.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// one carries out one operation.
func one(t testing.TB, s driver.Store, op driver.Op) driver.Result {
	t.Helper()
	return s.Do(t.Context(), []driver.Op{op})[0]
}

func mustPut(t testing.TB, s driver.Store, key, value string, ttl time.Duration) driver.Revision {
	t.Helper()
	r := one(t, s, driver.Op{Kind: driver.OpPut, Key: key, Value: []byte(value), TTL: ttl})
	if r.Err != nil || r.Revision == "" {
		t.Fatalf("put %q: revision %q, %v", key, r.Revision, r.Err)
	}
	return r.Revision
}

func wantValue(t testing.TB, s driver.Store, key, value string) {
	t.Helper()
	r := one(t, s, driver.Op{Kind: driver.OpGet, Key: key})
	if r.Err != nil || string(r.Value) != value {
		t.Errorf("get %q: %q, %v; want %q", key, r.Value, r.Err, value)
	}
}

func facet(t testing.TB, p fairlead.Provider) fairlead.FacetDescription {
	t.Helper()
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	f, ok := d.Facet(fairlead.KV)
	if !ok {
		t.Fatalf("no kv facet: %+v", d)
	}
	return f
}
