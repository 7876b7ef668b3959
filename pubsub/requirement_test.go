package pubsub_test

import (
	"context"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/withdraw"
	"fairlead.dev/pubsub"
)

// TestWaitEndsWithALostRequirement: a Receive that waits, and Handle, fail at once
// when a requirement of the subscription is lost.
func TestWaitEndsWithALostRequirement(t *testing.T) {
	ctx := t.Context()
	p := withdraw.Open(t)
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
	p.Withdraw(t, fairlead.PubSub, pubsub.NackDelay)
	for range 2 {
		select {
		case err := <-ended:
			check.Code(t, err, fairlead.Unsupported)
		case <-time.After(10 * time.Second):
			t.Fatal("a subscription goes on without what the program requires")
		}
	}
}
