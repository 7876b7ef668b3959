package nats_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub"
)

// TestLeaderKilled kills the leader of the streams, several times, under
// publishers and writers, and demands everything that was acknowledged.
func TestLeaderKilled(t *testing.T) {
	group := testbed.NATSCluster(t, 3)
	p := open(t, clusterURL(group))
	store, err := kv.Open(t.Context(), p, "counters")
	if err != nil {
		t.Fatal(err)
	}
	topic, err := pubsub.Open(t.Context(), p, "orders")
	if err != nil {
		t.Fatal(err)
	}
	sub, err := pubsub.Subscribe(t.Context(), p, "orders", pubsub.Group("g"))
	if err != nil {
		t.Fatal(err)
	}
	load := &failoverLoad{t: t, store: store, topic: topic, stop: make(chan struct{}), published: map[string]bool{}, least: map[string]int{}}
	for i := range 4 {
		load.running.Go(func() { load.publish(i) })
		load.running.Go(func() { load.count(i) })
	}
	for range 3 {
		load.goesOn()
		for _, stream := range []string{"fairlead-kv-counters", "fairlead-ps-orders"} {
			old, _, err := group.KillStreamLeader(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := old.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := group.WaitOK(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	load.goesOn()
	close(load.stop)
	load.running.Wait()
	load.wantAll(sub)
	t.Logf("%d publications and %d increments were acknowledged, through 6 kills of a leader", len(load.published), load.acked.Load())
}

type failoverLoad struct {
	t       *testing.T
	store   *kv.Store
	topic   *pubsub.Topic
	stop    chan struct{}
	running sync.WaitGroup
	acked   atomic.Int64

	mu        sync.Mutex
	published map[string]bool
	least     map[string]int // what each counter has counted, at least
}

func (l *failoverLoad) each(f func(ctx context.Context, n int)) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Second)
		f(ctx, n)
		cancel()
		time.Sleep(time.Millisecond) // so that there are not too many
	}
}

func (l *failoverLoad) publish(i int) {
	l.each(func(ctx context.Context, n int) {
		body := fmt.Sprintf("%d-%d", i, n)
		if _, err := l.topic.Publish(ctx, pubsub.Message{Body: []byte(body)}); err == nil {
			l.mu.Lock()
			l.published[body] = true
			l.mu.Unlock()
		}
	})
}

// count counts up by CAS. One whose outcome is unknown may have counted.
func (l *failoverLoad) count(i int) {
	key := fmt.Sprint("counter", i%2)
	l.each(func(ctx context.Context, _ int) {
		e, err := l.store.Get(ctx, key)
		var n int
		switch providers.CodeOf(err) {
		case 0:
			_, _ = fmt.Sscan(string(e.Value), &n)
			_, err = l.store.CAS(ctx, key, fmt.Append(nil, n+1), e.Revision)
		case providers.NotFound:
			_, err = l.store.Create(ctx, key, []byte("1"))
		}
		if err == nil {
			l.acked.Add(1)
			l.mu.Lock()
			l.least[key]++
			l.mu.Unlock()
		}
	})
}

// goesOn waits for acknowledgements of both kinds.
func (l *failoverLoad) goesOn() {
	l.t.Helper()
	progress := func() (int, int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.published), l.acked.Load()
	}
	published, counted := progress()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		p, c := progress()
		if p >= published+50 && c >= counted+50 {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("in a minute, %d publications and %d increments were acknowledged", p-published, c-counted)
		}
	}
}

func (l *failoverLoad) wantAll(sub *pubsub.Subscription) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 60*time.Second)
	defer cancel()
	missing := map[string]bool{}
	for body := range l.published {
		missing[body] = true
	}
	for len(missing) > 0 {
		ds, err := sub.ReceiveMany(ctx, 100)
		if err != nil && ctx.Err() != nil {
			l.t.Fatalf("%d of %d acknowledged messages are lost: %v", len(missing), len(l.published), err)
		}
		for _, d := range ds {
			delete(missing, string(d.Body))
			_ = d.Ack(ctx) // else it comes again
		}
	}
	for key, least := range l.least {
		e, err := l.store.Get(ctx, key)
		if err != nil {
			l.t.Fatal(err)
		}
		var n int
		if _, _ = fmt.Sscan(string(e.Value), &n); n < least {
			l.t.Errorf("%s has counted to %d, and %d increments were acknowledged", key, n, least)
		}
	}
}
