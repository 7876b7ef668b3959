package providers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
)

func wantClosed(t *testing.T, what string, err error, name string) {
	t.Helper()
	if fairlead.CodeOf(err) != fairlead.Closed || !strings.Contains(err.Error(), "the "+name+" is closed") {
		t.Errorf("%s: %v; want Closed, of the %s", what, err, name)
	}
}

func TestLifetimeEnds(t *testing.T) {
	root := NewLifetime("provider")
	store := root.Child("store")
	watcher := store.Child("watcher")
	if err := watcher.Check(t.Context()); err != nil || watcher.Err() != nil {
		t.Fatalf("open: %v, %v", err, watcher.Err())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Check(canceled); fairlead.CodeOf(err) != fairlead.Canceled {
		t.Errorf("a canceled call: %v", err)
	}
	if !store.End() || store.End() {
		t.Error("End must be true once")
	}
	<-watcher.Done()
	wantClosed(t, "a watcher of a closed store", watcher.Check(canceled), "store")
	wantClosed(t, "the cause of its context", context.Cause(watcher.Context()), "store")
	if root.Err() != nil {
		t.Errorf("a handle ended its provider: %v", root.Err())
	}
	if !watcher.End() {
		t.Error("the first End after the parent's must be true: the handle is closed only once")
	}
	wantClosed(t, "after its own End", watcher.Err(), "store")
}

func TestLifetimeFails(t *testing.T) {
	l := NewLifetime("watcher")
	gone := fairlead.Errorf(fairlead.Compacted, "the history is gone")
	l.Fail(gone)
	l.Fail(errors.New("another"))
	if !l.End() {
		t.Error("the first End after Fail must be true")
	}
	if err := l.Check(t.Context()); err != gone {
		t.Errorf("%v, want the first failure", err)
	}
}

func TestLifetimeJoins(t *testing.T) {
	type key struct{}
	l := NewLifetime("store")
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
	first, leave := l.Join(ctx)
	defer leave()
	second, leaveSecond := l.Join(t.Context())
	defer leaveSecond()
	cancel()
	<-first.Done()
	if second.Err() != nil || first.Value(key{}) != 1 {
		t.Errorf("another call: %v; value %v", second.Err(), first.Value(key{}))
	}
	bounded, leaveBounded := l.Bound(t.Context(), time.Hour)
	defer leaveBounded()
	if deadline, ok := bounded.Deadline(); !ok || time.Until(deadline) > time.Hour {
		t.Errorf("the deadline is %v, %v", deadline, ok)
	}
	l.End()
	<-second.Done()
	<-bounded.Done()
	wantClosed(t, "the cause", context.Cause(second), "store")
}

// TestLifetimeDrains shows that Drain waits for calls under way, and that none
// begins after the end.
func TestLifetimeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLifetime("provider")
		joined, leave, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !l.Go(func() { <-l.Done(); time.Sleep(time.Minute) }) {
			t.Fatal("Go refused before the end")
		}
		drained := make(chan struct{})
		go func() { l.Drain(); close(drained) }()
		<-joined.Done()
		time.Sleep(2 * time.Minute)
		select {
		case <-drained:
			t.Error("Drain did not wait for the call")
		default:
		}
		leave()
		leave() // a second call does nothing
		<-drained
		if _, _, err := l.Begin(t.Context()); fairlead.CodeOf(err) != fairlead.Closed {
			t.Errorf("Begin after the end: %v", err)
		}
		if l.Go(func() { t.Error("it ran") }) {
			t.Error("Go after the end")
		}
	})
}

func TestLifetimeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLifetime("handle")
		begin := time.Now()
		if err := l.Wait(t.Context(), nil, begin.Add(time.Hour)); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("until a time: %v after %v", err, time.Since(begin))
		}
		changed := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(changed) })
		if err := l.Wait(t.Context(), changed, time.Time{}); err != nil {
			t.Errorf("for a change: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Wait(ctx, nil, time.Time{}); fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
			t.Errorf("with a deadline: %v", err)
		}
		time.AfterFunc(time.Second, func() { l.End() })
		wantClosed(t, "until the end", l.Wait(t.Context(), nil, time.Time{}), "handle")
	})
}

func TestFailWithoutAnError(t *testing.T) {
	l := NewLifetime("watcher")
	l.Fail(nil)
	if err := l.Err(); fairlead.CodeOf(err) != fairlead.Internal {
		t.Errorf("got %v, want Internal", err)
	}
}

// TestWaitError gives errors of waits to a lifetime: the deadline decides what they
// mean, and not who noticed first.
func TestWaitError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := NewLifetime("store")
		for _, test := range []struct {
			err  error
			left time.Duration // until the caller's deadline
			want fairlead.Code
		}{
			{nil, -time.Second, 0},
			{context.DeadlineExceeded, time.Millisecond, fairlead.DeadlineExceeded}, // the backend was a little faster
			{context.DeadlineExceeded, time.Minute, fairlead.Unavailable},           // a limit of the client
			{context.Canceled, time.Minute, fairlead.Unavailable},
			{fairlead.Errorf(fairlead.Unavailable, "away"), -time.Second, fairlead.DeadlineExceeded},
			{fairlead.Errorf(fairlead.Unavailable, "away"), time.Minute, fairlead.Unavailable},
			{fairlead.Errorf(fairlead.Compacted, "gone"), -time.Second, fairlead.Compacted},
			{fairlead.Errorf(fairlead.UnknownOutcome, "no answer"), -time.Second, fairlead.UnknownOutcome},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), test.left)
			err := life.WaitError(ctx, test.err)
			if fairlead.CodeOf(err) != test.want {
				t.Errorf("%v with %v left: got %v, want %v", test.err, test.left, err, test.want)
			}
			if test.want == fairlead.DeadlineExceeded && ctx.Err() == nil {
				t.Errorf("%v: the caller's context has not ended", test.err)
			}
			cancel()
		}
		life.End()
		if err := life.WaitError(t.Context(), context.Canceled); !errors.Is(err, fairlead.Closed) {
			t.Errorf("after the end: got %v", err)
		}
	})
}
