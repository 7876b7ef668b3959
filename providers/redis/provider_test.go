package redis_test

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/redis"
)

func open(t testing.TB, rawURL string, opts ...fairlead.Option) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), rawURL, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

func TestOpenClaimsDurability(t *testing.T) {
	s := testbed.Redis(t)
	d, err := open(t, s.URL()).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, ok := d.Facet(fairlead.KV)
	if !ok || !f.Has(fairlead.DurableFsync) {
		t.Fatalf("DurableFsync is not claimed: %+v", d)
	}
}
