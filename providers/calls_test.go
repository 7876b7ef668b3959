package providers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
)

// mapTestError stands for a provider's own MapError.
func mapTestError(err error, sent bool) error {
	switch {
	case err == nil:
		return nil
	case sent:
		return fairlead.Errorf(fairlead.UnknownOutcome, "no answer: %w", err)
	case fairlead.CodeOf(err) == fairlead.Internal:
		return fairlead.Errorf(fairlead.Unavailable, "%w", err)
	default:
		return fairlead.Errorf(fairlead.CodeOf(err), "%w", err)
	}
}

func TestCalls(t *testing.T) {
	broken := errors.New("broken pipe")
	fails := func(context.Context) error { return broken }
	sends := func(f func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error { MarkSent(ctx); return f(ctx) }
	}
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, test := range []struct {
		name          string
		call          func(context.Context) error
		deadline      time.Duration // of the caller; 0: none
		read, written fairlead.Code
	}{
		{name: "well", call: sends(func(context.Context) error { return nil })},
		{name: "not sent", call: fails, read: fairlead.Unavailable, written: fairlead.Unavailable},
		{name: "sent", call: sends(fails), read: fairlead.Unavailable, written: fairlead.UnknownOutcome},
		{name: "silent", call: hangs, read: fairlead.Unavailable, written: fairlead.Unavailable},
		{name: "sent, silent", call: sends(hangs), read: fairlead.Unavailable, written: fairlead.UnknownOutcome},
		{name: "deadline", call: hangs, deadline: 2 * time.Second, read: fairlead.DeadlineExceeded, written: fairlead.DeadlineExceeded},
		{name: "sent, deadline", call: sends(hangs), deadline: 2 * time.Second, read: fairlead.DeadlineExceeded, written: fairlead.UnknownOutcome},
		{name: "the server sees the deadline first", call: func(context.Context) error { time.Sleep(1999 * time.Millisecond); return context.DeadlineExceeded }, deadline: 2 * time.Second,
			read: fairlead.DeadlineExceeded, written: fairlead.DeadlineExceeded},
		{name: "the server sees the limit first", call: func(context.Context) error { time.Sleep(4999 * time.Millisecond); return context.DeadlineExceeded },
			read: fairlead.Unavailable, written: fairlead.Unavailable},
		{name: "the server gives up by itself", call: func(context.Context) error { return context.Canceled },
			read: fairlead.Unavailable, written: fairlead.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := Calls{Life: NewLifetime("provider"), Timeout: 5 * time.Second, Setting: "request-timeout", MapError: mapTestError}
				bounded := func(make func(context.Context, func(context.Context) error) error) fairlead.Code {
					ctx := t.Context()
					if test.deadline > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, test.deadline)
						defer cancel()
					}
					return fairlead.CodeOf(make(ctx, test.call))
				}
				if got := bounded(calls.Read); got != test.read {
					t.Errorf("read: %v, want %v", got, test.read)
				}
				if got := bounded(calls.Write); got != test.written {
					t.Errorf("written: %v, want %v", got, test.written)
				}
			})
		})
	}
	MarkSent(t.Context()) // of no call: nothing happens
}

// TestCallsClosed: a call that ends because the provider was closed says so,
// but a write that was sent has an unknown outcome.
func TestCallsClosed(t *testing.T) {
	life := NewLifetime("provider")
	calls := Calls{Life: life, Timeout: time.Hour, Setting: "request-timeout", MapError: mapTestError}
	ends := func(context.Context) error { life.End(); return context.Canceled }
	wantClosed(t, "a read", calls.Read(t.Context(), ends), "provider")
	wantClosed(t, "a write that was not sent", calls.Write(t.Context(), ends), "provider")
	err := calls.Write(t.Context(), func(ctx context.Context) error { MarkSent(ctx); return context.Canceled })
	if fairlead.CodeOf(err) != fairlead.UnknownOutcome {
		t.Errorf("a write that was sent: %v", err)
	}
}
