package await_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/internal/await"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestSignal(t *testing.T) {
	var s await.Signal
	s.Fire() // nobody waits
	first, also := s.Next(), s.Next()
	if isClosed(first) {
		t.Error("woken by an earlier Fire")
	}
	s.Fire()
	if !isClosed(first) || !isClosed(also) {
		t.Error("not all waiters are woken")
	}
	if isClosed(s.Next()) {
		t.Error("a new waiter is woken by an earlier Fire")
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if !await.Pause(ctx, 20*time.Second) || time.Since(began) != 20*time.Second {
			t.Errorf("a pause of 20 s took %v", time.Since(began))
		}
		if await.Pause(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("a pause did not end with its context, but after %v", time.Since(began))
		}
	})
}
