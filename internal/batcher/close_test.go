package batcher

import (
	"context"
	"testing"

	"fairlead.dev"
)

// TestCloseIdle shows that Close with an ended context fails only if something
// was under way.
func TestCloseIdle(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		b := New(fairlead.Limits{}, func(int) int { return 1 }, func(_ context.Context, ops []int) []int { return ops })
		if err := b.Close(ended); err != nil {
			t.Fatalf("closing an idle batcher: %v", err)
		}
	}
}
