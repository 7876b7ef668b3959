package redis_test

import (
	"testing"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/redis"
)

func open(t testing.TB, rawURL string, opts ...providers.Option) providers.Provider {
	t.Helper()
	p, err := providers.Open(t.Context(), rawURL, opts...)
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
	f, ok := d.Facet(providers.KV)
	if !ok || !f.Has(providers.DurableFsync) {
		t.Fatalf("DurableFsync is not claimed: %+v", d)
	}
}
