package config_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	kvdriver "fairlead.dev/kv/driver"
)

// receive returns the next value of a channel, or fails the test.
func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came within %v", what, patience)
		panic("unreachable")
	}
}

// hurried is a store whose calls notice their deadline before the context does, as
// drivers do that send the deadline to a server.
type hurried struct {
	kvdriver.Store
	waits *atomic.Int64
}

func (h hurried) Watch(ctx context.Context, r kvdriver.WatchRequest) (kvdriver.Watcher, error) {
	w, err := h.Store.Watch(ctx, r)
	return hurriedWatcher{w, h.waits}, err
}

type hurriedWatcher struct {
	kvdriver.Watcher
	waits *atomic.Int64
}

func (w hurriedWatcher) Next(ctx context.Context) ([]kvdriver.Event, error) {
	w.waits.Add(1)
	deadline, ok := ctx.Deadline()
	if !ok {
		return w.Watcher.Next(ctx)
	}
	early, cancel := context.WithDeadline(ctx, deadline.Add(-5*time.Millisecond))
	defer cancel()
	return w.Watcher.Next(early)
}

// storesOf is a provider whose stores a test may alter.
func storesOf(p fairlead.Provider, alter func(kvdriver.Store) kvdriver.Store) altered {
	return altered{Provider: p.(kvdriver.Provider), alter: alter}
}

// TestIdleSoak watches idle sources for an hour of a fake clock: nothing is
// reported, and nothing is asked more often than it has to be.
func TestIdleSoak(t *testing.T) {
	for name, without := range map[string][]fairlead.Claim{"one moment": nil, "many moments": {kvdriver.ClaimSnapshotList}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var waits atomic.Int64
				p := storesOf(open(t, "mem://"), func(s kvdriver.Store) kvdriver.Store { return hurried{s, &waits} })
				p.without = without
				w := watch[pair](t, config.From(p, "app"), config.From(p, "quiet", config.QuietPeriod(time.Second)),
					config.OnError(func(err error) { t.Errorf("reported %v", err) }))
				for range 3600 {
					time.Sleep(time.Second)
					if err := w.Err(); err != nil {
						t.Fatalf("unhealthy: %v", err)
					}
				}
				if n := waits.Load(); n > 2*3600 {
					t.Errorf("%d waits in an hour", n)
				}
				s := openSource(t, p)
				set(t, s, both(1)...)
				synctest.Wait()
				if w.Get().Left != 1 {
					t.Errorf("after an hour, a change is not seen: %+v", *w.Get())
				}
			})
		})
	}
}

// The caller's deadline ends a wait with DeadlineExceeded, also if the driver
// notices it first; the end of a driver's own limit is Unavailable.
func TestEndOfAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits atomic.Int64
		p := storesOf(open(t, "mem://"), func(s kvdriver.Store) kvdriver.Store { return limited{hurried{s, &waits}} })
		s := openSource(t, p)
		state, err := s.Next(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []time.Duration{time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			_, err := s.Next(ctx, state.Version)
			if fairlead.CodeOf(err) != fairlead.DeadlineExceeded || ctx.Err() == nil {
				t.Errorf("after %v: got %v, and the context has %v", d, err, ctx.Err())
			}
			cancel()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = s.Snapshot(context.WithValue(ctx, limitedKey{}, true))
		wantCode(t, err, fairlead.Unavailable)
	})
}

// limited is a store whose listings end with the driver's own limit, if the context
// says so.
type limited struct{ kvdriver.Store }

type limitedKey struct{}

func (l limited) List(ctx context.Context, r kvdriver.ListRequest) (kvdriver.Page, error) {
	if ctx.Value(limitedKey{}) != nil {
		return kvdriver.Page{}, fairlead.Errorf(fairlead.DeadlineExceeded, "the client's own limit")
	}
	return l.Store.List(ctx, r)
}

// forgetful is a store that has always dropped the history that a watcher needs.
type forgetful struct {
	kvdriver.Store
	lists *atomic.Int64
}

func (f forgetful) List(ctx context.Context, r kvdriver.ListRequest) (kvdriver.Page, error) {
	f.lists.Add(1)
	return f.Store.List(ctx, r)
}

func (f forgetful) Watch(ctx context.Context, r kvdriver.WatchRequest) (kvdriver.Watcher, error) {
	w, err := f.Store.Watch(ctx, r)
	return forgetfulWatcher{w}, err
}

type forgetfulWatcher struct{ kvdriver.Watcher }

func (forgetfulWatcher) Next(context.Context) ([]kvdriver.Event, error) {
	return nil, fairlead.Errorf(fairlead.Compacted, "dropped")
}

// A store that has always dropped its history is not listed without a pause.
func TestCompactedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int64
		p := storesOf(open(t, "mem://"), func(s kvdriver.Store) kvdriver.Store { return forgetful{s, &lists} })
		watch[pair](t, config.From(p, "app"))
		time.Sleep(time.Minute)
		if n := lists.Load(); n < 2 || n > 100 {
			t.Errorf("listed %d times in a minute", n)
		}
	})
}

// A Set whose state cannot be read invents no version.
func TestSetWithoutVersion(t *testing.T) {
	p := storesOf(open(t, "mem://"), func(s kvdriver.Store) kvdriver.Store { return limited{s} })
	s := openSource(t, p)
	version, err := s.Set(context.WithValue(t.Context(), limitedKey{}, true), put("a", "1"))
	if version != "" || err != nil {
		t.Fatalf("got %q, %v", version, err)
	}
	state, err := s.Next(t.Context(), version)
	if err != nil || values(state) != "map[a:1]" {
		t.Errorf("then %v, %v", values(state), err)
	}
}

// An update is validated before it is applied: what Validate refuses is never
// seen, and is reported.
func TestValidateComesFirst(t *testing.T) {
	p := open(t, "mem://")
	s := openSource(t, p)
	set(t, s, both(1)...)
	reported, seen := make(chan error, 10), make(chan pair, 10)
	w := watch[pair](t, config.From(p, "app"), config.OnError(func(err error) { reported <- err }))
	w.OnChange(func(_, now *pair) { seen <- *now })
	set(t, s, both(-1)...)
	select {
	case err := <-reported:
		wantCode(t, err, fairlead.Invalid)
	case now := <-seen:
		t.Fatalf("%+v, which Validate refuses, was applied", now)
	case <-time.After(patience):
		t.Fatalf("an update that Validate refuses was neither reported nor applied; health %+v", w.Health())
	}
	if got := *w.Get(); got != (pair{1, 1, "none"}) {
		t.Errorf("holds %+v", got)
	}
	set(t, s, both(2)...)
	if now := receive(t, "the next valid update", seen); now != (pair{2, 2, "none"}) {
		t.Errorf("after the refused update: %+v", now)
	}
}
