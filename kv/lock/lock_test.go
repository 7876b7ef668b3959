package lock_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
	"fairlead.dev/kv/lock"
)

// bubble runs a test on a store in memory, in virtual time.
func bubble(t *testing.T, f func(t *testing.T, p *hooked, s *kv.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newHooked(t)
		f(t, p, openStore(t, p))
	})
}

func TestLocksExcludeAndTokensGrow(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		var held sync.Mutex
		var last uint64
		var group sync.WaitGroup
		for range 8 {
			m := newMutex(t, s)
			group.Go(func() {
				for range 20 {
					l, err := m.Lock(t.Context())
					must(t, err)
					if !held.TryLock() {
						t.Error("two leases are held")
						return
					}
					if l.Token() <= last {
						t.Errorf("token %d after %d", l.Token(), last)
					}
					last = l.Token()
					time.Sleep(time.Millisecond)
					held.Unlock()
					must(t, l.Release(t.Context()))
				}
			})
		}
		group.Wait()
	})
}

func TestAWaiterIsWokenByTheWatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		noWatch bool
		least   time.Duration
		most    time.Duration
	}{
		{"watch", false, 0, 0},
		{"poll", true, time.Millisecond, 1200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newHooked(t)
				p.noWatch = c.noWatch
				m := newMutex(t, openStore(t, p))
				first := mustLock(t, m)
				var free time.Time
				var group sync.WaitGroup
				group.Go(func() {
					time.Sleep(10*time.Second + 500*time.Microsecond)
					free = time.Now()
					must(t, first.Release(t.Context()))
				})
				second := mustLock(t, m)
				group.Wait()
				if late := time.Since(free); late < c.least || late > c.most {
					t.Errorf("Lock waited for %v after the lock was free, want %v to %v", late, c.least, c.most)
				}
				must(t, second.Release(t.Context()))
			})
		})
	}
}

func TestALeaseIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		m := newMutex(t, s)
		l := mustLock(t, m)
		time.Sleep(24 * time.Hour)
		if isLost(l) {
			t.Errorf("lost: %v", l.Err())
		}
		_, err := m.TryLock(t.Context())
		wantCode(t, err, fairlead.Conflict)
		must(t, l.Release(t.Context()))
		must(t, l.Release(t.Context()))
		if !isLost(l) || l.Err() != nil {
			t.Errorf("after Release, Lost is closed: %v; %v", isLost(l), l.Err())
		}
	})
}

// TestAnUnreachableStoreLosesLeasesInTime cuts the holder off from the store.
// Whether its calls fail at once or hang, its lease is reported as lost before
// another program can get the lock.
func TestAnUnreachableStoreLosesLeasesInTime(t *testing.T) {
	for name, h := range map[string]hook{
		"refused": func(context.Context, driver.Op, func() driver.Result) driver.Result {
			return driver.Result{Err: fairlead.Errorf(fairlead.Unavailable, "cut off")}
		},
		"frozen": func(ctx context.Context, _ driver.Op, _ func() driver.Result) driver.Result {
			<-ctx.Done()
			return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "cut off")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newHooked(t)
				l := mustLock(t, newMutex(t, openStore(t, p)))
				other := newMutex(t, openStore(t, p.Provider))
				time.Sleep(6 * time.Second) // one renewal
				p.set(h)
				cut := time.Now()
				next := make(chan time.Duration)
				go func() {
					l, err := other.Lock(t.Context())
					must(t, err)
					after := time.Since(cut)
					must(t, l.Release(t.Context()))
					next <- after
				}()
				<-l.Lost()
				lost, taken := time.Since(cut), <-next
				if lost != 12500*time.Millisecond || taken < 14*time.Second || taken > 15*time.Second {
					t.Errorf("lost after %v, taken after %v", lost, taken)
				}
				wantCode(t, l.Err(), fairlead.Unavailable)
				p.set(nil)
				wantCode(t, l.Release(t.Context()), fairlead.Conflict)
			})
		})
	}
}

// TestAShortOutageLosesNothing shows that renewals continue after a short outage.
func TestAShortOutageLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		l := mustLock(t, newMutex(t, s))
		for range 20 {
			p.set(func(context.Context, driver.Op, func() driver.Result) driver.Result {
				return driver.Result{Err: fairlead.Errorf(fairlead.Unavailable, "away")}
			})
			time.Sleep(7 * time.Second)
			p.set(nil)
			time.Sleep(2 * time.Second)
		}
		if isLost(l) {
			t.Errorf("lost: %v", l.Err())
		}
		must(t, l.Release(t.Context()))
	})
}

// TestLostAnswers loses the answer of each write in turn, for writes that were
// applied and for writes that were not.
func TestLostAnswers(t *testing.T) {
	for _, applied := range []bool{true, false} {
		for nth := int64(1); nth <= 6; nth++ {
			bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
				var writes atomic.Int64
				p.set(func(_ context.Context, op driver.Op, do func() driver.Result) driver.Result {
					if !op.Kind.IsWrite() {
						return do()
					}
					if writes.Add(1) != nth {
						return do()
					}
					if applied {
						do()
					}
					return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "lost")}
				})
				m := newMutex(t, s)
				l := mustLock(t, m)
				time.Sleep(6 * time.Second) // a renewal
				if isLost(l) {
					t.Fatalf("write %d, applied %v: lost: %v", nth, applied, l.Err())
				}
				must(t, l.Release(t.Context()))
				next := mustLock(t, m)
				if next.Token() <= l.Token() {
					t.Errorf("token %d after %d", next.Token(), l.Token())
				}
				must(t, next.Release(t.Context()))
				if writes.Load() <= nth {
					t.Fatalf("there were %d writes", writes.Load())
				}
			})
		}
	}
}

// TestASlowTryGetsNoLease delays a try at each of its steps for too long.
// Meanwhile another one gets the lock, with a token of its own.
func TestASlowTryGetsNoLease(t *testing.T) {
	for slow := 2; slow <= 4; slow++ {
		bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
			must(t, mustLock(t, newMutex(t, s)).Release(t.Context()))
			other := openStore(t, p.Provider)
			step := 0
			p.set(func(_ context.Context, _ driver.Op, do func() driver.Result) driver.Result {
				if step++; step == slow {
					p.set(nil)
					time.Sleep(time.Minute)
				}
				return do()
			})
			winner := make(chan *lock.Lease)
			go func() {
				time.Sleep(30 * time.Second)
				winner <- mustLock(t, newMutex(t, other))
			}()
			_, err := newMutex(t, s).TryLock(t.Context())
			wantCode(t, err, fairlead.Unavailable)
			l := <-winner
			if isLost(l) {
				t.Errorf("lost: %v", l.Err())
			}
			must(t, l.Release(t.Context()))
		})
	}
}

// TestATryThatLosesTheKeyGetsNoLease deletes the holder's key at each step.
func TestATryThatLosesTheKeyGetsNoLease(t *testing.T) {
	for step := 2; step <= 4; step++ {
		bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
			other := openStore(t, p.Provider)
			n := 0
			p.set(func(_ context.Context, _ driver.Op, do func() driver.Result) driver.Result {
				if n++; n == step {
					must(t, other.Delete(t.Context(), "m/holder"))
				}
				return do()
			})
			_, err := newMutex(t, s).TryLock(t.Context())
			wantCode(t, err, fairlead.Conflict)
		})
	}
}

func TestAStolenLeaseIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		m := newMutex(t, s)
		l := mustLock(t, m)
		ctx, cancel := l.Context(t.Context())
		defer cancel()
		must(t, s.Delete(t.Context(), "m/holder"))
		thief := mustLock(t, m)
		wantLost(t, l, 6*time.Second)
		wantCode(t, l.Err(), fairlead.Conflict)
		<-ctx.Done()
		wantCode(t, context.Cause(ctx), fairlead.Conflict)
		wantCode(t, l.Release(t.Context()), fairlead.Conflict)
		must(t, l.Release(t.Context()))
		if _, err := s.Get(t.Context(), "m/holder"); err != nil || isLost(thief) {
			t.Errorf("Release has removed another holder's lease: %v", err)
		}
		must(t, thief.Release(t.Context()))
	})
}

func TestTheContextEndsWithTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		l := mustLock(t, newMutex(t, s))
		ctx, cancel := l.Context(t.Context())
		defer cancel()
		must(t, l.Release(t.Context()))
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestFenceRefusesTheLeaseBefore(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		m := newMutex(t, s)
		before := mustLock(t, m)
		_, err := s.Txn(t.Context(), before.Fence(), kv.ThenPut("data", []byte("1")))
		must(t, err)
		time.Sleep(time.Minute) // renewals do not change it
		_, err = s.Txn(t.Context(), before.Fence(), kv.ThenPut("data", []byte("2")))
		must(t, err)
		must(t, before.Release(t.Context()))
		now := mustLock(t, m)
		_, err = s.Txn(t.Context(), before.Fence(), kv.ThenPut("data", []byte("late")))
		wantCode(t, err, fairlead.Conflict)
		_, err = s.Txn(t.Context(), now.Fence(), kv.ThenPut("data", []byte("3")))
		must(t, err)
		must(t, now.Release(t.Context()))
	})
}

func TestWhoGivesUpLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		m := newMutex(t, s)
		l := mustLock(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := m.Lock(ctx)
		wantCode(t, err, fairlead.DeadlineExceeded)
		must(t, l.Release(t.Context()))

		p.set(func(ctx context.Context, op driver.Op, do func() driver.Result) driver.Result {
			if op.Kind == driver.OpCreate {
				do()
				p.set(nil)
				<-ctx.Done()
				return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "gave up")}
			}
			return do()
		})
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = m.Lock(ctx)
		wantCode(t, err, fairlead.DeadlineExceeded)
		if _, err := s.Get(t.Context(), "m/holder"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("the key of a holder that gave up: %v", err)
		}
	})
}

func TestReleaseThatFailsCanBeRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		m := newMutex(t, s)
		l := mustLock(t, m)
		p.set(func(context.Context, driver.Op, func() driver.Result) driver.Result {
			return driver.Result{Err: fairlead.Errorf(fairlead.Unavailable, "away")}
		})
		wantCode(t, l.Release(t.Context()), fairlead.Unavailable)
		if !isLost(l) {
			t.Error("Lost is not closed after Release")
		}
		_, err := m.TryLock(t.Context())
		wantCode(t, err, fairlead.Unavailable)
		p.set(nil)
		must(t, l.Release(t.Context()))
		next, err := m.TryLock(t.Context())
		must(t, err)
		must(t, next.Release(t.Context()))
	})
}

func TestLockGoesOnThroughAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		p.set(func(context.Context, driver.Op, func() driver.Result) driver.Result {
			return driver.Result{Err: fairlead.Errorf(fairlead.Unavailable, "away")}
		})
		time.AfterFunc(time.Minute, func() { p.set(nil) })
		must(t, mustLock(t, newMutex(t, s)).Release(t.Context()))
	})
}

func TestAClosedStoreEndsWaitingAndLeases(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		l := mustLock(t, newMutex(t, s))
		waits := openStore(t, p)
		failed := make(chan error)
		go func() {
			_, err := newMutex(t, waits).Lock(t.Context())
			failed <- err
		}()
		synctest.Wait()
		must(t, waits.Close(t.Context()))
		wantCode(t, <-failed, fairlead.Closed)
		must(t, s.Close(t.Context()))
		synctest.Wait()
		wantLost(t, l, time.Millisecond)
		wantCode(t, l.Err(), fairlead.Closed)
	})
}

func TestBadArguments(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		for _, c := range []struct {
			store *kv.Store
			name  string
			opts  []lock.Option
			want  fairlead.Code
		}{
			{nil, "m", nil, fairlead.Invalid},
			{s, "", nil, fairlead.Invalid},
			{s, "\xff", nil, fairlead.Invalid},
			{s, string(make([]byte, 1<<20)), nil, fairlead.TooLarge},
			{s, "m", []lock.Option{lock.TTL(99 * time.Millisecond)}, fairlead.Invalid},
			{s, "m", []lock.Option{lock.PollInterval(0)}, fairlead.Invalid},
		} {
			_, err := lock.New(c.store, c.name, c.opts...)
			wantCode(t, err, c.want)
		}
		for _, key := range []string{"m/holder", "m/token"} {
			_, err := s.Put(t.Context(), key, []byte("0"))
			must(t, err)
			_, err = newMutex(t, s).Lock(t.Context())
			wantCode(t, err, fairlead.Invalid)
			must(t, s.Delete(t.Context(), key))
		}
	})
}

// TestAGivenUpLockIsGivenBack ends the caller's context while each write of a lock is
// under way: the lock is free when the write has landed, long before its TTL ends.
func TestAGivenUpLockIsGivenBack(t *testing.T) {
	for _, answered := range []bool{true, false} {
		for nth := int64(1); nth <= 3; nth++ {
			bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
				var writes atomic.Int64
				p.set(func(ctx context.Context, op driver.Op, do func() driver.Result) driver.Result {
					if !op.Kind.IsWrite() {
						return do()
					}
					if writes.Add(1) != nth {
						return do()
					}
					landed := make(chan driver.Result, 1)
					time.AfterFunc(3*time.Second, func() { landed <- do() })
					select {
					case r := <-landed:
						if answered {
							return r
						}
						<-ctx.Done()
					case <-ctx.Done():
						<-landed
					}
					return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "no answer")}
				})
				m := newMutex(t, s)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := m.TryLock(ctx)
				wantCode(t, err, fairlead.DeadlineExceeded)
				if took := time.Since(began); took > 1200*time.Millisecond {
					t.Errorf("write %d: giving up took %v", nth, took)
				}
				time.Sleep(5*time.Second - time.Since(began))
				p.set(nil)
				l, err := m.TryLock(t.Context())
				if err != nil {
					t.Fatalf("write %d, answered %v: the lock is not free: %v", nth, answered, err)
				}
				must(t, l.Release(t.Context()))
				time.Sleep(time.Minute) // what went on has ended
			})
		}
	}
}

// TestReleaseAfterALostAnswer gives up a Release while its deletion is under way: the
// next call knows that the lock was given back.
func TestReleaseAfterALostAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
		l := mustLock(t, newMutex(t, s))
		p.set(func(ctx context.Context, op driver.Op, do func() driver.Result) driver.Result {
			if op.Kind != driver.OpDeleteIf {
				return do()
			}
			p.set(nil)
			do()
			<-ctx.Done()
			return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "no answer")}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCode(t, l.Release(ctx), fairlead.UnknownOutcome)
		must(t, l.Release(t.Context()))
	})
}

// TestNothingIsRepeatedWithoutAPause counts the operations of a lock over stores that
// refuse in different ways, and looks for the cause in the error.
func TestNothingIsRepeatedWithoutAPause(t *testing.T) {
	for name, refused := range map[string]struct {
		kinds []driver.OpKind
		err   *fairlead.Error
	}{
		"every write":     {[]driver.OpKind{driver.OpCreate, driver.OpCAS}, fairlead.Errorf(fairlead.Unavailable, "the server is full")},
		"as a conflict":   {[]driver.OpKind{driver.OpCreate}, fairlead.Errorf(fairlead.Conflict, "a replica lags")},
		"without answer":  {[]driver.OpKind{driver.OpCreate}, fairlead.Errorf(fairlead.UnknownOutcome, "no answer came")},
		"the token":       {[]driver.OpKind{driver.OpCAS}, fairlead.Errorf(fairlead.UnknownOutcome, "no answer came")},
		"token conflicts": {[]driver.OpKind{driver.OpCAS}, fairlead.Errorf(fairlead.Conflict, "a replica lags")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *hooked, s *kv.Store) {
				m := newMutex(t, s)
				must(t, mustLock(t, m).Release(t.Context())) // so that there is a token
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var n atomic.Int64
				p.set(func(_ context.Context, op driver.Op, do func() driver.Result) driver.Result {
					if n.Add(1) > 400 {
						cancel() // without a pause, the minute never passes
					}
					for _, kind := range refused.kinds {
						if op.Kind == kind {
							return driver.Result{Err: refused.err}
						}
					}
					return do()
				})
				_, err := m.Lock(ctx)
				wantCode(t, err, fairlead.DeadlineExceeded)
				if n := n.Load(); n > 400 {
					t.Errorf("%d operations in a minute", n)
				}
				if refused.err.Code == fairlead.Unavailable && !strings.Contains(err.Error(), "the server is full") {
					t.Errorf("the cause is not in %q", err)
				}
				p.set(nil)
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestTTLsOfALock(t *testing.T) {
	bubble(t, func(t *testing.T, _ *hooked, s *kv.Store) {
		for ttl, want := range map[time.Duration]fairlead.Code{
			-1: fairlead.Invalid, 0: fairlead.Invalid, 1: fairlead.Invalid, 100 * time.Millisecond: 0,
			fairlead.MaxDuration: 0, fairlead.MaxDuration + 1: fairlead.Invalid, math.MaxInt64: fairlead.Invalid,
		} {
			m, err := lock.New(s, "m", lock.TTL(ttl))
			wantCode(t, err, want)
			if err == nil {
				must(t, mustLock(t, m).Release(t.Context()))
			}
		}
		for _, opt := range []lock.Option{nil, lock.PollInterval(-1), lock.PollInterval(math.MaxInt64)} {
			_, err := lock.New(s, "m", opt)
			wantCode(t, err, fairlead.Invalid)
		}
	})
}
