package lock_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/nats"
)

// backend is a server or a cluster that can fail.
type backend struct {
	url  string
	fail func(ctx context.Context) error // makes it fail, and repairs it
}

var backends = map[string]func(t *testing.T) backend{
	"redis": func(t *testing.T) backend {
		s := testbed.Redis(t)
		return backend{s.URL(), killAndPause(s.Process)}
	},
	"etcd": func(t *testing.T) backend {
		g := testbed.EtcdCluster(t, 3)
		return backend{g.URL(), func(ctx context.Context) error {
			old, elected, err := g.KillLeader(ctx)
			if err != nil {
				return err
			}
			return errors.Join(old.Start(ctx), g.WaitOK(ctx), pause(ctx, elected.Process))
		}}
	},
	"nats": func(t *testing.T) backend {
		g := testbed.NATSCluster(t, 3, testbed.NATSSync("always"))
		return backend{g.URL() + "?replicas=3", func(ctx context.Context) error {
			old, elected, err := g.KillLeader(ctx)
			if err != nil {
				return err
			}
			return errors.Join(old.Start(ctx), g.WaitOK(ctx), pause(ctx, elected.Process))
		}}
	},
}

func killAndPause(p *testbed.Process) func(context.Context) error {
	return func(ctx context.Context) error {
		return errors.Join(p.Kill(ctx), p.Start(ctx), pause(ctx, p))
	}
}

// pause pauses a process for longer than a lease.
func pause(ctx context.Context, p *testbed.Process) error {
	err := p.Pause(ctx)
	time.Sleep(serverTTL + serverTTL/2)
	return errors.Join(err, p.Continue(ctx))
}

const serverTTL = 2 * time.Second

// worker adds one to a counter under a lock, with a fence: the write of an owner
// that is too late is refused.
type worker struct {
	*testing.T
	in                      *inside
	m                       *lock.Mutex
	s                       *kv.Store
	added, maybe, contested *atomic.Int64
}

func (w worker) run(ctx context.Context, stop *atomic.Bool) {
	for !stop.Load() && ctx.Err() == nil {
		l, err := w.m.Lock(ctx)
		if err != nil {
			w.Errorf("Lock: %v", err)
			return
		}
		w.in.enter(w.T, l)
		select {
		case <-time.After(30 * time.Millisecond): // the work
		case <-l.Lost():
		}
		w.add(ctx, l)
		w.in.leave(l)
		call, cancel := context.WithTimeout(ctx, serverTTL)
		_ = l.Release(call) // if this fails, the lease expires
		cancel()
	}
}

func (w worker) add(ctx context.Context, l *lock.Lease) {
	ctx, cancel := l.Context(ctx)
	defer cancel()
	e, err := w.s.Get(ctx, "counter")
	if err != nil {
		return
	}
	n, _ := strconv.ParseInt(string(e.Value), 10, 64)
	_, err = w.s.Txn(ctx, l.Fence(), kv.ThenPut("counter", strconv.AppendInt(nil, n+1, 10)))
	switch fairlead.CodeOf(err) {
	case 0:
		w.added.Add(1)
	case fairlead.UnknownOutcome:
		w.maybe.Add(1)
	case fairlead.Conflict:
		w.contested.Add(1)
	}
}

// TestServersFail kills and pauses servers, each longer than a lease, while eight
// programs lock and unlock: no two leases are held at once, tokens grow, and no
// increment that was acknowledged is lost.
func TestServersFail(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			b := start(t)
			in, stop := &inside{}, &atomic.Bool{}
			var added, maybe, contested atomic.Int64
			var group sync.WaitGroup
			var first *kv.Store
			for i := range 8 {
				p, err := fairlead.Open(ctx, b.url)
				must(t, err)
				t.Cleanup(func() { _ = p.Close(context.Background()) })
				s := openStore(t, p)
				if i == 0 {
					first = s
					_, err := s.Put(ctx, "counter", []byte("0"))
					must(t, err)
				}
				w := worker{t, in, newMutex(t, s, lock.TTL(serverTTL)), s, &added, &maybe, &contested}
				group.Go(func() { w.run(ctx, stop) })
			}
			must(t, b.fail(ctx))
			in.wantMore(t, 5)
			must(t, b.fail(ctx))
			in.wantMore(t, 5)
			stop.Store(true)
			group.Wait()

			e, err := first.Get(ctx, "counter")
			must(t, err)
			n, err := strconv.ParseInt(string(e.Value), 10, 64)
			must(t, err)
			if n < added.Load() || n > added.Load()+maybe.Load() {
				t.Errorf("the counter is %d; %d increments were acknowledged, %d are unknown", n, added.Load(), maybe.Load())
			}
			t.Logf("%d leases, %d lost, %d increments, %d unknown, %d refused by the fence",
				in.won, in.lost, added.Load(), maybe.Load(), contested.Load())
		})
	}
}

// wantMore waits for n more leases.
func (in *inside) wantMore(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.won
	}
	for from, end := count(), time.Now().Add(30*time.Second); count() < from+n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("only %d leases in 30 s", count()-from)
		}
	}
}
