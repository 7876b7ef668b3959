// Package withdraw has a memory provider that loses guarantees at run time, for tests of
// what handles do then.
package withdraw

import (
	"context"
	"slices"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/memory" // mem://
	psdriver "fairlead.dev/pubsub/driver"
)

type (
	stores = kvdriver.Provider
	topics = psdriver.Provider
)

// Provider is a memory provider whose description a test changes.
type Provider struct {
	stores
	topics
	inner fairlead.Provider
	live  *providers.Live
}

// Open opens a provider, and closes it at the end of the test.
func Open(t testing.TB) *Provider {
	t.Helper()
	inner, err := fairlead.Open(t.Context(), "mem://")
	check.NoError(t, err)
	t.Cleanup(func() { _ = inner.Close(context.Background()) })
	p := &Provider{stores: inner.(stores), topics: inner.(topics), inner: inner}
	p.live = providers.NewLive(p.whole(t))
	return p
}

// whole returns a copy of the memory provider's own description.
func (p *Provider) whole(t testing.TB) fairlead.Description {
	t.Helper()
	d, err := p.inner.Describe(t.Context())
	check.NoError(t, err)
	return d
}

// Withdraw takes a claim away from a facet.
func (p *Provider) Withdraw(t testing.TB, facet fairlead.Facet, claim fairlead.Claim) {
	t.Helper()
	d := p.whole(t)
	i := slices.IndexFunc(d.Facets, func(f fairlead.FacetDescription) bool { return f.Facet == facet })
	if i < 0 || !slices.Contains(d.Facets[i].Claims, claim) {
		t.Fatalf("the provider does not claim %s of %s: the test shows nothing", claim, facet)
	}
	d.Facets[i].Claims = slices.DeleteFunc(slices.Clone(d.Facets[i].Claims), func(c fairlead.Claim) bool { return c == claim })
	p.live.Update(d)
}

// Restore gives back what was withdrawn.
func (p *Provider) Restore(t testing.TB) {
	t.Helper()
	p.live.Update(p.whole(t))
}

// Close implements [fairlead.Provider].
func (p *Provider) Close(ctx context.Context) error { return p.inner.Close(ctx) }

// Describe implements [fairlead.Provider].
func (p *Provider) Describe(ctx context.Context) (fairlead.Description, error) {
	return p.live.Describe(ctx)
}

// Await implements [fairlead.Provider].
func (p *Provider) Await(ctx context.Context, generation uint64) (fairlead.Description, error) {
	return p.live.Await(ctx, generation)
}
