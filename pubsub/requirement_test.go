package pubsub_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub"
	"fairlead.dev/pubsub/driver"
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

// TestWaitEndsWithALostRequirement: a Receive that waits, and Handle, fail at once
// when a requirement of the subscription is lost.
func TestWaitEndsWithALostRequirement(t *testing.T) {
	ctx := t.Context()
	inner, err := fairlead.Open(ctx, "mem://")
	check.NoError(t, err)
	defer inner.Close(context.Background())
	d, err := inner.Describe(ctx)
	check.NoError(t, err)
	p := withdrawing{inner.(driver.Provider), providers.NewLive(d)}
	ended := make(chan error, 2)
	for _, wait := range []func(*pubsub.Subscription) error{
		func(s *pubsub.Subscription) error { _, err := s.Receive(ctx); return err },
		func(s *pubsub.Subscription) error {
			return s.Handle(ctx, func(context.Context, *pubsub.Delivery) error { return nil })
		},
	} {
		s, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"), pubsub.Require(pubsub.NackDelay))
		check.NoError(t, err)
		defer s.Close(context.Background())
		go func() { ended <- wait(s) }()
	}
	d, err = inner.Describe(ctx) // a copy
	check.NoError(t, err)
	f := &d.Facets[slices.IndexFunc(d.Facets, func(f fairlead.FacetDescription) bool { return f.Facet == fairlead.PubSub })]
	f.Claims = slices.DeleteFunc(slices.Clone(f.Claims), func(c fairlead.Claim) bool { return c == pubsub.NackDelay })
	p.live.Update(d)
	for range 2 {
		select {
		case err := <-ended:
			check.Code(t, err, fairlead.Unsupported)
		case <-time.After(10 * time.Second):
			t.Fatal("a subscription goes on without what the program requires")
		}
	}
}
