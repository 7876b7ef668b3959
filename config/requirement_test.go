package config_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// withdrawing is a memory provider whose description a test changes.
type withdrawing struct {
	driver.Provider
	live *providers.Live
}

func (w withdrawing) Describe(ctx context.Context) (fairlead.Description, error) {
	return w.live.Describe(ctx)
}

func (w withdrawing) Await(ctx context.Context, generation uint64) (fairlead.Description, error) {
	return w.live.Await(ctx, generation)
}

// TestLostRequirement: a Next that waits, and every call after it, fail when a
// requirement of the source is lost, and work when it holds again.
func TestLostRequirement(t *testing.T) {
	ctx := t.Context()
	inner, err := fairlead.Open(ctx, "mem://")
	check.NoError(t, err)
	defer inner.Close(context.Background())
	whole, err := inner.Describe(ctx)
	check.NoError(t, err)
	p := withdrawing{inner.(driver.Provider), providers.NewLive(whole)}
	s, err := config.Open(ctx, p, "app", config.Require(config.AtomicSet))
	check.NoError(t, err)
	defer s.Close(context.Background())
	state, err := s.Snapshot(ctx)
	check.NoError(t, err)
	ended := make(chan error, 1)
	go func() { _, err := s.Next(ctx, state.Version); ended <- err }()

	less, err := inner.Describe(ctx)
	check.NoError(t, err)
	f := &less.Facets[slices.IndexFunc(less.Facets, func(f fairlead.FacetDescription) bool { return f.Facet == fairlead.KV })]
	f.Claims = slices.DeleteFunc(slices.Clone(f.Claims), func(c fairlead.Claim) bool { return c == kv.Txn })
	p.live.Update(less)
	select {
	case err := <-ended:
		check.Code(t, err, fairlead.Unsupported)
	case <-time.After(10 * time.Second):
		t.Fatal("Next waits without what the program requires")
	}
	_, err = s.Set(ctx, config.Put("k", []byte("v")))
	check.Code(t, err, fairlead.Unsupported)
	p.live.Update(whole)
	check.Eventually(t, "Set works when the requirement holds again", func() bool {
		_, err := s.Set(ctx, config.Put("k", []byte("v")))
		return err == nil
	})
}
