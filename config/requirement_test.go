package config_test

import (
	"context"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/withdraw"
	"fairlead.dev/kv"
)

// TestLostRequirement: a Next that waits, and every call after it, fail when a
// requirement of the source is lost, and work when it holds again.
func TestLostRequirement(t *testing.T) {
	ctx := t.Context()
	p := withdraw.Open(t)
	s, err := config.Open(ctx, p, "app", config.Require(config.AtomicSet))
	check.NoError(t, err)
	defer s.Close(context.Background())
	state, err := s.Snapshot(ctx)
	check.NoError(t, err)
	ended := make(chan error, 1)
	go func() { _, err := s.Next(ctx, state.Version); ended <- err }()

	p.Withdraw(t, fairlead.KV, kv.Txn)
	select {
	case err := <-ended:
		check.Code(t, err, fairlead.Unsupported)
	case <-time.After(10 * time.Second):
		t.Fatal("Next waits without what the program requires")
	}
	_, err = s.Set(ctx, config.Put("k", []byte("v")))
	check.Code(t, err, fairlead.Unsupported)
	p.Restore(t)
	check.Eventually(t, "Set works when the requirement holds again", func() bool {
		_, err := s.Set(ctx, config.Put("k", []byte("v")))
		return err == nil
	})
}
