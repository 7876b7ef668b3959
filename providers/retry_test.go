package providers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
)

var errAway = fairlead.Errorf(fairlead.Unavailable, "connection refused")

// steps returns a step that takes a moment and has the given outcomes in turn. The
// last outcome repeats.
func steps(outcomes ...func(context.Context) (string, bool, error)) func(context.Context) (string, bool, error) {
	return func(ctx context.Context) (string, bool, error) {
		now := outcomes[0]
		if len(outcomes) > 1 {
			outcomes = outcomes[1:]
		}
		return now(ctx)
	}
}

func failing(err error) func(context.Context) (string, bool, error) {
	return func(context.Context) (string, bool, error) { return "", false, err }
}

func idle(d time.Duration) func(context.Context) (string, bool, error) {
	return func(ctx context.Context) (string, bool, error) {
		if !Pause(ctx, d) {
			return "", false, fairlead.ContextError(ctx)
		}
		return "", false, nil
	}
}

func done(context.Context) (string, bool, error) { return "result", true, nil }

func TestRetry(t *testing.T) {
	denied := fairlead.Errorf(fairlead.PermissionDenied, "no")
	for _, test := range []struct {
		name     string
		patience Patience
		steps    []func(context.Context) (string, bool, error)
		want     string
		code     fairlead.Code
		took     time.Duration
	}{
		{name: "at once", steps: []func(context.Context) (string, bool, error){done}, want: "result"},
		{name: "after two failures", steps: []func(context.Context) (string, bool, error){failing(errAway), failing(errAway), done}, want: "result", took: 150 * time.Millisecond},
		{name: "another error", steps: []func(context.Context) (string, bool, error){failing(errAway), failing(denied)}, code: fairlead.PermissionDenied, took: 50 * time.Millisecond},
		{name: "out of patience", steps: []func(context.Context) (string, bool, error){failing(errAway)}, code: fairlead.Unavailable, took: 1150 * time.Millisecond},
		{name: "more patience", patience: Patience{Limit: time.Minute, Pause: time.Second, MaxPause: 30 * time.Second}, steps: []func(context.Context) (string, bool, error){failing(errAway)}, code: fairlead.Unavailable, took: 61 * time.Second},
		{name: "a success in between", steps: []func(context.Context) (string, bool, error){
			failing(errAway), failing(errAway), idle(time.Hour), failing(errAway), done,
		}, want: "result", took: time.Hour + 200*time.Millisecond},
		{name: "errors of its own", patience: Patience{Retries: func(err error) bool { return errors.Is(err, denied) }},
			steps: []func(context.Context) (string, bool, error){failing(denied), failing(errAway)}, code: fairlead.Unavailable, took: 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				got, err := Retry(t.Context(), NewLifetime("watcher"), test.patience, steps(test.steps...))
				if got != test.want || fairlead.CodeOf(err) != test.code || time.Since(begin) != test.took {
					t.Errorf("%q, %v after %v; want %q, %v after %v", got, err, time.Since(begin), test.want, test.code, test.took)
				}
			})
		})
	}
}

// TestRetryEnds shows what the end of the context and of the lifetime do to a
// result, to a wait and to a failure.
func TestRetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A result that a step has taken is not lost with the context, but no
		// step begins after its end.
		ctx, cancel := context.WithCancel(t.Context())
		l := NewLifetime("watcher")
		last := func(context.Context) (string, bool, error) { cancel(); return done(ctx) }
		if got, err := Retry(ctx, l, Patience{}, last); got != "result" || err != nil {
			t.Errorf("a result when the context ends: %q, %v", got, err)
		}
		if got, err := Retry(ctx, l, Patience{}, done); got != "" || fairlead.CodeOf(err) != fairlead.Canceled {
			t.Errorf("with an ended context: %q, %v", got, err)
		}
		// The error names the last cause.
		short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		_, err := Retry(short, l, Patience{}, failing(errAway))
		if !errors.Is(err, fairlead.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("a deadline while the backend is away: %v", err)
		}
		// A wait and a result end with the lifetime.
		time.AfterFunc(time.Second, func() { l.End() })
		_, err = Retry(t.Context(), l, Patience{}, idle(time.Hour))
		wantClosed(t, "a wait", err, "watcher")
		other := NewLifetime("watcher")
		got, err := Retry(t.Context(), other, Patience{}, func(ctx context.Context) (string, bool, error) { other.End(); return done(ctx) })
		wantClosed(t, "a result in hand", err, "watcher")
		if got != "" {
			t.Errorf("%q was returned after the end", got)
		}
	})
}

func TestKeepLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLifetime("registration")
		begin := time.Now()
		var renewed []time.Duration
		outcomes := []error{nil, nil, errAway, nil, fairlead.Errorf(fairlead.PermissionDenied, "no")}
		err := KeepLease(t.Context(), l, time.Minute, func(context.Context) error {
			renewed = append(renewed, time.Since(begin))
			return outcomes[len(renewed)-1]
		})
		want := []time.Duration{0, time.Minute, 2 * time.Minute, 2*time.Minute + 50*time.Millisecond, 3*time.Minute + 50*time.Millisecond}
		if fairlead.CodeOf(err) != fairlead.PermissionDenied || !slices.Equal(renewed, want) {
			t.Errorf("renewed at %v, %v; want %v", renewed, err, want)
		}
		time.AfterFunc(time.Hour, func() { l.End() })
		wantClosed(t, "after the end", KeepLease(t.Context(), l, time.Minute, func(context.Context) error { return nil }), "registration")
	})
}

// TestNothingIsRepeatedWithoutAPause counts the calls of steps that fail or end at
// once, with settings that name no pause.
func TestNothingIsRepeatedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, calls := NewLifetime("provider"), 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _ = Retry(ctx, life, Patience{Limit: time.Hour, Pause: -1, MaxPause: -1}, func(context.Context) (none struct{}, done bool, err error) {
			if calls++; calls > 1000 {
				cancel() // without a pause, the minute never passes
			}
			return none, false, errAway
		})
		_ = KeepLease(ctx, life, 0, nil) // the context has ended: renew is not called
		if calls > 310 {
			t.Errorf("%d calls in a minute", calls)
		}
		calls = 0
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = KeepLease(ctx, life, -1, func(context.Context) error {
			if calls++; calls > 1000 {
				cancel()
			}
			return nil
		})
		if calls > 101 {
			t.Errorf("%d renewals in a second", calls)
		}
	})
}
