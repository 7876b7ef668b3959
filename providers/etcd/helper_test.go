package etcd_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
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
	must(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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

func wantCode(t testing.TB, err error, want fairlead.Code) {
	t.Helper()
	if got := fairlead.CodeOf(err); got != want {
		t.Errorf("the error %v has the code %q, want %q", err, got, want)
	}
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen within 20s: %s", what)
		}
	}
}

func facet(t testing.TB, p fairlead.Provider) fairlead.FacetDescription {
	t.Helper()
	d, err := p.Describe(t.Context())
	must(t, err)
	f, ok := d.Facet(fairlead.KV)
	if !ok {
		t.Fatalf("no kv facet: %+v", d)
	}
	return f
}
