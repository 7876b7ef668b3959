package lock_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
)

func newElection(t *testing.T, s *kv.Store) *lock.Election {
	t.Helper()
	e, err := lock.NewElection(s, "e")
	must(t, err)
	return e
}

func campaign(t *testing.T, e *lock.Election, value string) *lock.Leadership {
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
		time.Sleep(time.Hour) // the value lasts over renewals
		l, err := e.Leader(t.Context())
		must(t, err)
		if string(l.Value) != "ann2" || l.Token != ann.Token() {
			t.Errorf("the leader is %q, token %d", l.Value, l.Token)
		}

		must(t, ann.Resign(t.Context()))
		wantLeader(t, next, "")
		wantCode(t, ann.Proclaim(t.Context(), []byte("ann3")), fairlead.Conflict)
		bob := campaign(t, e, "bob")
		if bob.Token() <= ann.Token() {
			t.Errorf("token %d after %d", bob.Token(), ann.Token())
		}
		wantLeader(t, next, "bob")
		must(t, bob.Resign(t.Context()))
	})
}

// TestALeaderThatDiesIsSucceeded closes the store of the leader.
func TestALeaderThatDiesIsSucceeded(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		ann := campaign(t, newElection(t, s), "ann")
		other := openStore(t, p)
		must(t, s.Close(t.Context()))
		bob := campaign(t, newElection(t, other), "bob")
		if !isLost(ann.Lease) {
			t.Error("two leaders")
		}
		wantCode(t, ann.Resign(t.Context()), fairlead.Closed)
		must(t, bob.Resign(t.Context()))
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
