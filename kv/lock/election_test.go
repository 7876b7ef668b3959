package lock_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
	"fairlead.dev/kv/lock"
)

func newElection(t *testing.T, s *kv.Store) *lock.Election {
	t.Helper()
	e, err := lock.NewElection(s, "e")
	must(t, err)
	return e
}

func campaign(t *testing.T, e *lock.Election, value string) *lock.Lease {
	t.Helper()
	l, err := e.Campaign(t.Context(), []byte(value))
	must(t, err)
	return l
}

func wantLeader(t *testing.T, next func() (lock.Leader, error, bool), value string) {
	t.Helper()
	l, err, ok := next()
	if err != nil || !ok || string(l.Value) != value || (l.Token == 0) != (value == "") {
		t.Errorf("observed %q, token %d, %v; want %q", l.Value, l.Token, err, value)
	}
}

func TestElection(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		e := newElection(t, s)
		_, err := e.Leader(t.Context())
		wantCode(t, err, fairlead.NotFound)
		ann := campaign(t, e, "ann")
		next, stop := iter.Pull2(e.Observe(t.Context()))
		defer stop()
		wantLeader(t, next, "ann")

		must(t, ann.Proclaim(t.Context(), []byte("ann2")))
		wantLeader(t, next, "ann2")
		time.Sleep(time.Hour) // renewals keep the value
		l, err := e.Leader(t.Context())
		must(t, err)
		if string(l.Value) != "ann2" || l.Token != ann.Token() {
			t.Errorf("the leader is %q, token %d", l.Value, l.Token)
		}

		must(t, ann.Release(t.Context()))
		wantLeader(t, next, "")
		wantCode(t, ann.Proclaim(t.Context(), []byte("ann3")), fairlead.Conflict)
		bob := campaign(t, e, "bob")
		if bob.Token() <= ann.Token() {
			t.Errorf("token %d after %d", bob.Token(), ann.Token())
		}
		wantLeader(t, next, "bob")
		must(t, bob.Release(t.Context()))
	})
}

// TestALeaderThatDiesIsSucceeded closes the store of the leader.
func TestALeaderThatDiesIsSucceeded(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		ann := campaign(t, newElection(t, s), "ann")
		other := openStore(t, p)
		must(t, s.Close(t.Context()))
		bob := campaign(t, newElection(t, other), "bob")
		if !isLost(ann) {
			t.Error("there are two leaders")
		}
		wantCode(t, ann.Release(t.Context()), fairlead.Closed)
		must(t, bob.Release(t.Context()))
	})
}

func TestObserveEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next, stop := iter.Pull2(newElection(t, s).Observe(ctx))
		defer stop()
		wantLeader(t, next, "")
		_, err, _ := next()
		wantCode(t, err, fairlead.DeadlineExceeded)
		for range newElection(t, s).Observe(t.Context()) {
			break
		}
	})
}

// TestRunLeadsAgainAfterALoss takes the first leadership away. Run releases the
// second one after lead returns, and returns lead's error.
func TestRunLeadsAgainAfterALoss(t *testing.T) {
	failed := errors.New("the work failed")
	for name, afterLoss := range map[string]func(context.Context, *lock.Lease) error{
		"nil":       func(context.Context, *lock.Lease) error { return nil },
		"error":     func(ctx context.Context, _ *lock.Lease) error { return ctx.Err() },
		"cause":     func(ctx context.Context, _ *lock.Lease) error { return context.Cause(ctx) },
		"Lease.Err": func(_ context.Context, l *lock.Lease) error { return l.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
				var tokens []uint64
				e := newElection(t, s)
				err := e.Run(t.Context(), []byte("ann"), func(ctx context.Context, l *lock.Lease) error {
					if tokens = append(tokens, l.Token()); len(tokens) == 2 {
						return failed
					}
					must(t, s.Delete(t.Context(), "e/holder"))
					<-ctx.Done()
					return afterLoss(ctx, l)
				})
				if err != failed || len(tokens) != 2 || tokens[1] <= tokens[0] {
					t.Errorf("Run returned %v after the tokens %v", err, tokens)
				}
				_, err = e.Leader(t.Context())
				wantCode(t, err, fairlead.NotFound)
			})
		})
	}
}

// TestRunEndsWithItsContext ends the context while Run leads, and while it
// waits.
func TestRunEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		e := newElection(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := e.Run(ctx, nil, func(ctx context.Context, _ *lock.Lease) error {
			wantCode(t, e.Run(ctx, nil, nil), fairlead.Invalid)
			wantCode(t, e.Run(ctx, nil, func(context.Context, *lock.Lease) error { return nil }), fairlead.DeadlineExceeded)
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		_, err = e.Leader(t.Context())
		wantCode(t, err, fairlead.NotFound)
	})
}

// TestProclaimTooLarge shows that a value beyond the limit costs neither the
// lease nor the value before.
func TestProclaimTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		e := newElection(t, s)
		ann := campaign(t, e, "ann")
		wantCode(t, ann.Proclaim(t.Context(), make([]byte, s.Describe().Limits.MaxValueBytes)), fairlead.TooLarge)
		time.Sleep(time.Hour) // renewals
		if isLost(ann) {
			t.Errorf("the lease is lost: %v", ann.Err())
		}
		l, err := e.Leader(t.Context())
		must(t, err)
		if string(l.Value) != "ann" {
			t.Errorf("the leader is %q", l.Value)
		}
		must(t, ann.Release(t.Context()))
	})
}

// TestLockPausesWhileWritesAreRefused shows that a store that answers reads and
// refuses writes is not asked without a pause.
func TestLockPausesWhileWritesAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		calls := 0
		p.set(func(_ context.Context, op driver.Op, do func() driver.Result) driver.Result {
			if calls++; calls > 2000 {
				cancel() // without a pause, the minute never passes
			}
			if op.Kind.IsWrite() {
				return driver.Result{Err: fairlead.Errorf(fairlead.Unavailable, "no memory")}
			}
			return do()
		})
		_, err := newMutex(t, s).Lock(ctx)
		wantCode(t, err, fairlead.DeadlineExceeded)
		if calls > 2000 {
			t.Errorf("%d operations in a minute", calls)
		}
	})
}
