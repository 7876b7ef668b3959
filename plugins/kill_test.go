package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

// The load of TestKilledPluginLosesNothing.
const (
	loadWriters = 16
	loadWrites  = 1250 // acknowledged ones of each writer: half of them puts, half publications
	loadKills   = 50
)

// write is the outcome of one write, as its writer was told.
type write struct {
	name string
	put  bool
	err  error
}

// TestKilledPluginLosesNothing kills the plugin 50 times during 20,000 puts and
// publications, while a group receives and a watcher watches. Every acknowledged
// write is stored and delivered. A stored write that was not acknowledged had
// been reported as unknown. newHost checks that no process or socket is left.
func TestKilledPluginLosesNothing(t *testing.T) {
	for _, over := range []plugins.Transport{plugins.Frames, plugins.Stream} {
		t.Run(string(over), func(t *testing.T) { killUnderLoad(t, over) })
	}
}

func killUnderLoad(t *testing.T, over plugins.Transport) {
	server := testbed.Redis(t)
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), plugins.WithTransport(over), eager)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := open(t, h, "plugin+"+server.URL())
	l := newLoad(ctx, t, p)
	recovered := l.killing(ctx, h)
	writes := l.writes(ctx)
	<-recovered.done
	l.check(writes)
	l.end()
	slices.Sort(recovered.took)
	t.Logf("measured: %d kills, %d writes, of which %d were acknowledged; from a kill to the first acknowledged write: median %v, longest %v",
		len(recovered.took), len(writes), l.done.Load(), recovered.took[len(recovered.took)/2].Round(time.Millisecond), recovered.took[len(recovered.took)-1].Round(time.Millisecond))
}

// load uses the provider while the plugin is killed.
type load struct {
	t     *testing.T
	store *kv.Store
	topic *pubsub.Topic
	group *pubsub.Subscription
	watch *kv.Watcher
	done  atomic.Int64 // writes that were acknowledged
	left  atomic.Int64 // writers that have not ended

	mu       sync.Mutex
	received map[string]bool
	seen     map[string]bool
	stop     context.CancelFunc
	readers  sync.WaitGroup
}

func newLoad(ctx context.Context, t *testing.T, p fairlead.Provider) *load {
	l := &load{t: t, received: map[string]bool{}, seen: map[string]bool{}}
	var errs [4]error
	l.store, errs[0] = kv.Open(ctx, p, "load")
	l.topic, errs[1] = pubsub.Open(ctx, p, "load")
	l.group, errs[2] = pubsub.Subscribe(ctx, p, "load", pubsub.Group("load"), pubsub.AckDeadline(2*time.Second))
	first, err := l.store.Put(ctx, "first", nil)
	if err == nil {
		l.watch, errs[3] = l.store.Watch(ctx, "w", kv.After(first))
	}
	if err := errors.Join(append(errs[:], err)...); err != nil {
		t.Fatal(err)
	}
	reading, stop := context.WithCancel(ctx)
	l.stop = stop
	l.readers.Go(func() { l.receive(reading) })
	l.readers.Go(func() { l.watching(reading) })
	return l
}

func (l *load) receive(ctx context.Context) {
	for ctx.Err() == nil {
		ds, err := l.group.ReceiveMany(ctx, 100)
		if err != nil {
			if code := fairlead.CodeOf(err); code != fairlead.Unavailable && ctx.Err() == nil {
				l.t.Errorf("receiving: %v", err)
			}
			continue
		}
		for _, d := range ds {
			l.mu.Lock()
			l.received[string(d.Body)] = true
			l.mu.Unlock()
			_ = d.Ack(ctx) // if this fails, the message is delivered again
		}
	}
}

func (l *load) watching(ctx context.Context) {
	for e, err := range l.watch.All(ctx) {
		if err != nil {
			if code := fairlead.CodeOf(err); code != fairlead.Unavailable && ctx.Err() == nil {
				l.t.Errorf("watching: %v", err)
				return
			}
			continue
		}
		l.mu.Lock()
		l.seen[e.Key] = true
		l.mu.Unlock()
	}
}

// writes runs the writers and returns the outcome of each write.
func (l *load) writes(ctx context.Context) []write {
	all := make([][]write, loadWriters)
	l.left.Store(loadWriters)
	var wg sync.WaitGroup
	for i := range loadWriters {
		wg.Go(func() {
			defer l.left.Add(-1)
			for n := 0; n < loadWrites && ctx.Err() == nil; {
				w := l.write(ctx, fmt.Sprintf("w%02d-%05d", i, len(all[i])), n%2 == 0)
				if all[i] = append(all[i], w); w.err == nil {
					n++
				} else {
					time.Sleep(20 * time.Millisecond) // the plugin is being restarted
				}
			}
		})
	}
	wg.Wait()
	return slices.Concat(all...)
}

func (l *load) write(ctx context.Context, name string, put bool) write {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	w := write{name: name, put: put}
	if put {
		_, w.err = l.store.Put(ctx, name, []byte(name))
	} else {
		_, w.err = l.topic.Publish(ctx, pubsub.Message{Body: []byte(name)})
	}
	if w.err == nil {
		l.done.Add(1)
	}
	return w
}

// recovery has the times from each kill until writes were acknowledged again.
type recovery struct {
	took []time.Duration
	done chan struct{}
}

// killing kills the plugin loadKills times, each time after some writes.
func (l *load) killing(ctx context.Context, h *plugins.Host) *recovery {
	r := &recovery{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		next := int64(100)
		for len(r.took) < loadKills {
			if !l.reaches(ctx, next) {
				l.t.Errorf("the writers ended after %d kills, want %d", len(r.took), loadKills)
				return
			}
			before := l.done.Load()
			began := time.Now()
			if err := syscall.Kill(h.Status()[0].PID, syscall.SIGKILL); err != nil {
				continue // it is being started
			}
			if !l.reaches(ctx, before+loadWriters+1) {
				return
			}
			r.took = append(r.took, time.Since(began))
			next = l.done.Load() + 100
		}
	}()
	return r
}

// reaches waits until n writes are acknowledged. It reports false if all writers
// have ended before.
func (l *load) reaches(ctx context.Context, n int64) bool {
	for l.done.Load() < n {
		if ctx.Err() != nil || l.done.Load() > 0 && l.left.Load() == 0 {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// check compares the reported outcomes with the stored and the delivered writes.
func (l *load) check(writes []write) {
	check.Eventually(l.t, "the plugin runs again", func() bool {
		_, err := l.store.Get(l.t.Context(), "first")
		return err == nil
	})
	stored := map[string]bool{}
	for e, err := range l.store.List(l.t.Context(), "w") {
		if err != nil {
			l.t.Fatalf("listing: %v", err)
		}
		stored[e.Key] = true
	}
	has := func(w write) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if w.put {
			return stored[w.name] && l.seen[w.name]
		}
		return l.received[w.name]
	}
	failures := 0
	for _, w := range writes {
		if w.err == nil {
			check.Eventually(l.t, "the acknowledged write of "+w.name+" is delivered", func() bool { return has(w) })
			continue
		}
		failures++
		if code := fairlead.CodeOf(w.err); code == fairlead.Unavailable && (w.put && stored[w.name] || !w.put && has(w)) {
			l.t.Errorf("%s is stored, but was reported as failed: %v", w.name, w.err)
		} else if code != fairlead.Unavailable && code != fairlead.UnknownOutcome {
			l.t.Errorf("writing %s: %v", w.name, w.err)
		}
	}
	if failures == 0 {
		l.t.Error("no write failed: the kills interrupted nothing")
	}
}

func (l *load) end() {
	l.stop()
	l.readers.Wait()
	ctx := context.Background()
	if err := errors.Join(l.watch.Close(ctx), l.group.Close(ctx), l.topic.Close(ctx), l.store.Close(ctx)); err != nil {
		l.t.Errorf("closing: %v", err)
	}
}
