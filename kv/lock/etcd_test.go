package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
)

// program is a program that locks with this package or with etcd's package
// concurrency.
type program interface {
	lock(ctx context.Context) error
	tryLock(ctx context.Context) (held bool, err error)
	unlock(ctx context.Context) error
	token() int64
	lost() <-chan struct{}
	die() // as if the program had ended
	steal(ctx context.Context) error
}

type ours struct {
	*testing.T
	store *kv.Store
	m     *lock.Mutex
	l     *lock.Lease
}

func (o *ours) lock(ctx context.Context) (err error) {
	o.l, err = o.m.Lock(ctx)
	return err
}

func (o *ours) tryLock(ctx context.Context) (bool, error) {
	l, err := o.m.TryLock(ctx)
	if errors.Is(err, fairlead.Conflict) {
		return true, nil
	}
	o.l = l
	return false, err
}

func (o *ours) unlock(ctx context.Context) error { return o.l.Release(ctx) }
func (o *ours) token() int64                     { return int64(o.l.Token()) }
func (o *ours) lost() <-chan struct{}            { return o.l.Lost() }
func (o *ours) die()                             { must(o, o.store.Close(context.Background())) }
func (o *ours) steal(ctx context.Context) error  { return o.store.Delete(ctx, "m/holder") }

type theirs struct {
	*testing.T
	c       *clientv3.Client
	session *concurrency.Session
	m       *concurrency.Mutex
}

func (o *theirs) lock(ctx context.Context) error { return o.m.Lock(ctx) }

func (o *theirs) tryLock(ctx context.Context) (bool, error) {
	err := o.m.TryLock(ctx)
	if errors.Is(err, concurrency.ErrLocked) {
		return true, nil
	}
	return false, err
}

func (o *theirs) unlock(ctx context.Context) error { return o.m.Unlock(ctx) }
func (o *theirs) lost() <-chan struct{}            { return o.session.Done() }
func (o *theirs) die()                             { o.session.Orphan() }

// token is the create revision of the key.
func (o *theirs) token() int64 {
	r, err := o.c.Get(o.Context(), o.m.Key())
	must(o, err)
	return r.Kvs[0].CreateRevision
}

func (o *theirs) steal(ctx context.Context) error {
	_, err := o.c.Revoke(ctx, o.session.Lease())
	return err
}

// TestComparedWithEtcd runs the same programs on the same etcd, once with this
// package and once with etcd's own locks. They differ only in unlocking a lost
// lock: this package returns Conflict.
func TestComparedWithEtcd(t *testing.T) {
	server := testbed.Etcd(t)
	makers := map[string]func(t *testing.T) program{
		"ours": func(t *testing.T) program {
			p, err := fairlead.Open(t.Context(), server.URL())
			must(t, err)
			t.Cleanup(func() { _ = p.Close(context.Background()) })
			s := openStore(t, p)
			return &ours{T: t, store: s, m: newMutex(t, s, lock.TTL(serverTTL))}
		},
		"concurrency": func(t *testing.T) program {
			c, err := server.Client()
			must(t, err)
			t.Cleanup(func() { _ = c.Close() })
			session, err := concurrency.NewSession(c, concurrency.WithTTL(int(serverTTL/time.Second)))
			must(t, err)
			return &theirs{t, c, session, concurrency.NewMutex(session, "m")}
		},
	}
	for name, program := range makers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			a, b := program(t), program(t)
			handOver(ctx, t, a, b)
			first := b.token()
			b.die()
			must(t, a.lock(ctx)) // waits until b's lease has ended
			if a.token() <= first {
				t.Errorf("token %d after %d", a.token(), first)
			}
			must(t, a.steal(ctx))
			<-a.lost()
			err := a.unlock(ctx)
			if refused := errors.Is(err, fairlead.Conflict); refused != (name == "ours") {
				t.Errorf("Unlock of a lost lock: %v", err)
			}
		})
	}
}

// handOver lets a lock, shows that b cannot lock meanwhile, and that b gets the
// lock after a unlocks.
func handOver(ctx context.Context, t *testing.T, a, b program) {
	t.Helper()
	must(t, a.lock(ctx))
	held, err := b.tryLock(ctx)
	must(t, err)
	if !held {
		t.Fatal("both programs have the lock")
	}
	got := make(chan error)
	go func() { got <- b.lock(ctx) }()
	first := a.token()
	must(t, a.unlock(ctx))
	must(t, <-got)
	if b.token() <= first {
		t.Errorf("token %d after %d", b.token(), first)
	}
}

// TestElectionComparedWithEtcd compares the events that the observers of both
// packages see in the same campaign.
func TestElectionComparedWithEtcd(t *testing.T) {
	server := testbed.Etcd(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := fairlead.Open(ctx, server.URL())
	must(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	e := newElection(t, openStore(t, p))
	c, err := server.Client()
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	session, err := concurrency.NewSession(c)
	must(t, err)
	defer session.Close()
	etcds := concurrency.NewElection(session, "e")

	_, err = e.Leader(ctx)
	wantCode(t, err, fairlead.NotFound)
	if _, err := etcds.Leader(ctx); !errors.Is(err, concurrency.ErrElectionNoLeader) {
		t.Error(err)
	}
	seen := make(chan string, 10)
	go func() {
		for l := range e.Observe(ctx) {
			if l.Token != 0 { // etcd's observer gets no event when there is no leader
				seen <- string(l.Value)
			}
		}
	}()
	theirs := etcds.Observe(ctx)

	must(t, etcds.Campaign(ctx, "ann"))
	ann, err := e.Campaign(ctx, []byte("ann"))
	must(t, err)
	for _, value := range []string{"ann", "ann2"} {
		if value == "ann2" {
			must(t, etcds.Proclaim(ctx, value))
			must(t, ann.Proclaim(ctx, []byte(value)))
		}
		r, ok := <-theirs
		if !ok || string(r.Kvs[0].Value) != value {
			t.Errorf("etcd's observer saw %v, want %q", r.Kvs, value)
		}
		if got := <-seen; got != value {
			t.Errorf("our observer saw %q, want %q", got, value)
		}
	}
	must(t, etcds.Resign(ctx))
	must(t, ann.Release(ctx))
	_, err = e.Leader(ctx)
	wantCode(t, err, fairlead.NotFound)
}
