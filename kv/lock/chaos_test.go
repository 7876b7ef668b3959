package lock_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/kv/lock"
)

// chaos returns a hook that loses answers, refuses calls, and sometimes delays a
// call by more than a lease.
func chaos(random *rand.Rand, mu *sync.Mutex) hook {
	return func(ctx context.Context, op driver.Op, do func() driver.Result) driver.Result {
		mu.Lock()
		luck, delay := random.IntN(100), time.Duration(random.IntN(20))*time.Millisecond
		mu.Unlock()
		if luck < 3 {
			delay *= 100
		}
		time.Sleep(delay)
		switch {
		case luck >= 95:
			return driver.Result{Err: fairlead.Errorf(fairlead.Unavailable, "refused")}
		case luck >= 90 && op.Kind.IsWrite():
			return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "not applied")}
		case luck >= 80 && op.Kind.IsWrite():
			do()
			return driver.Result{Err: fairlead.Errorf(fairlead.UnknownOutcome, "applied")}
		}
		return do()
	}
}

// inside checks that leases do not overlap. A lease ends when it is lost or
// released.
type inside struct {
	mu   sync.Mutex
	now  *lock.Lease
	last uint64
	won  int
	lost int
}

func (in *inside) enter(t *testing.T, l *lock.Lease) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.now != nil && !isLost(in.now) {
		t.Errorf("the leases %d and %d are held at the same time", in.now.Token(), l.Token())
	}
	if l.Token() <= in.last {
		t.Errorf("token %d after %d", l.Token(), in.last)
	}
	in.now, in.last = l, l.Token()
	in.won++
}

func (in *inside) leave(l *lock.Lease) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if isLost(l) {
		in.lost++
	}
	if in.now == l {
		in.now = nil
	}
}

// TestLeasesNeverOverlap has eight programs lock and unlock on a bad network.
func TestLeasesNeverOverlap(t *testing.T) {
	lost := 0 // over all seeds: a single seed may lose none
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			p := newHooked(t)
			p.noWatch = seed%4 == 3
			random, mu := rand.New(rand.NewPCG(seed, 1)), &sync.Mutex{}
			p.set(chaos(random, mu))
			in := &inside{}
			var group sync.WaitGroup
			for range 8 {
				m := newMutex(t, openStore(t, p), lock.TTL(time.Second))
				group.Go(func() {
					for range 25 {
						l, err := m.Lock(t.Context())
						must(t, err)
						in.enter(t, l)
						mu.Lock()
						work := time.Duration(random.IntN(1500)) * time.Millisecond
						mu.Unlock()
						select {
						case <-time.After(work):
						case <-l.Lost():
						}
						in.leave(l)
						_ = l.Release(t.Context()) // if this fails, the lease expires
					}
				})
			}
			group.Wait()
			if in.won != 200 || in.lost > 150 {
				t.Errorf("seed %d: %d leases, %d of them lost", seed, in.won, in.lost)
			}
			lost += in.lost
		})
	}
	if lost == 0 {
		t.Error("no lease was lost: the network is too good for the test to show anything")
	}
}
