package kv_test

import (
	"context"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/withdraw"
	"fairlead.dev/kv"
)

// TestWaitEndsWithALostRequirement: a Next that waits, and All, fail at once when a
// requirement of the store is lost.
func TestWaitEndsWithALostRequirement(t *testing.T) {
	ctx := t.Context()
	p := withdraw.Open(t)
	s, err := kv.Open(ctx, p, "s", kv.Require(kv.TTL))
	check.NoError(t, err)
	defer s.Close(context.Background())
	ended := make(chan error, 2)
	for _, wait := range []func(*kv.Watcher) error{
		func(w *kv.Watcher) error { _, err := w.Next(ctx); return err },
		func(w *kv.Watcher) (last error) {
			for _, err := range w.All(ctx) {
				last = err
			}
			return last
		},
	} {
		w, err := s.Watch(ctx, "")
		check.NoError(t, err)
		go func() { ended <- wait(w) }()
	}
	p.Withdraw(t, fairlead.KV, kv.TTL)
	for range 2 {
		select {
		case err := <-ended:
			check.Code(t, err, fairlead.Unsupported)
		case <-time.After(10 * time.Second):
			t.Fatal("a watcher goes on without what the program requires")
		}
	}
}

// TestNextWaitsForItsTurnWithItsContext: a Next that waits for another one ends with
// its context, and with the watcher.
func TestNextWaitsForItsTurnWithItsContext(t *testing.T) {
	s := open(t)
	w, err := s.Watch(t.Context(), "")
	check.NoError(t, err)
	ended := make(chan error, 2)
	for range 2 {
		go func() { _, err := w.Next(context.Background()); ended <- err }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	// A Next that ignores its context ends as well, with another error.
	late := time.AfterFunc(20*time.Second, func() { _ = w.Close(context.Background()) })
	_, err = w.Next(ctx)
	late.Stop()
	check.Code(t, err, fairlead.DeadlineExceeded)
	check.NoError(t, w.Close(context.Background()))
	for range 2 {
		check.Code(t, <-ended, fairlead.Closed)
	}
}
