package plugins_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/internal/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub"
)

// killed kills the plugin of a provider and waits until it works again.
func killed(t *testing.T, h *plugins.Host, p providers.Provider) {
	t.Helper()
	pid := h.Status()[0].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	running(t, h, pid)
	works(t, p)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// next receives through passing errors.
func next(t *testing.T, s *pubsub.Subscription) *pubsub.Delivery {
	t.Helper()
	var d *pubsub.Delivery
	var err error
	eventually(t, "a message comes", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d, err = s.Receive(ctx)
		if err != nil && providers.CodeOf(err) != providers.Unavailable {
			t.Fatalf("receiving: %v", err)
		}
		return err == nil
	})
	return d
}

// TestBroadcastGoesOn shows that a broadcast of a plugin that was killed goes on
// behind what was acknowledged.
func TestBroadcastGoesOn(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), eager)
	p := open(t, h, "plugin+"+testbed.Redis(t).URL())
	ctx := t.Context()
	topic := must[*pubsub.Topic](t)(pubsub.Open(ctx, p, "t"))
	sub := must[*pubsub.Subscription](t)(pubsub.Subscribe(ctx, p, "t", pubsub.Broadcast()))
	publish := func(from, to int) {
		for i := from; i < to; i++ {
			must[pubsub.Receipt](t)(topic.Publish(ctx, pubsub.Message{Body: fmt.Appendf(nil, "%02d", i)}))
		}
	}
	publish(0, 10)
	var held []*pubsub.Delivery
	for i := range 8 {
		d := next(t, sub)
		if i < 5 {
			if err := d.Ack(ctx); err != nil {
				t.Fatal(err)
			}
			continue
		}
		held = append(held, d)
	}
	killed(t, h, p)
	if err := held[0].Ack(ctx); providers.CodeOf(err) != providers.Conflict {
		t.Errorf("acknowledging what was delivered before: %v", err)
	}
	publish(10, 12)
	for i := 5; i < 12; i++ {
		if d := next(t, sub); string(d.Body) != fmt.Sprintf("%02d", i) {
			t.Fatalf("%s came, want %02d", d.Body, i)
		}
	}
}

// TestWatchGoesOn shows that a watcher of a plugin that was killed goes on, also
// one that had read nothing yet.
func TestWatchGoesOn(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), eager)
	p := open(t, h, "plugin+"+testbed.Redis(t).URL())
	ctx := t.Context()
	s := must[*kv.Store](t)(kv.Open(ctx, p, "s"))
	first := must[kv.Revision](t)(s.Put(ctx, "a", []byte("0")))
	placed := must[*kv.Watcher](t)(s.Watch(ctx, "a", kv.After(first)))
	fromNow := must[*kv.Watcher](t)(s.Watch(ctx, "a"))
	must[kv.Revision](t)(s.Put(ctx, "a", []byte("1")))
	killed(t, h, p)
	must[kv.Revision](t)(s.Put(ctx, "a", []byte("2")))
	for name, w := range map[string]*kv.Watcher{"behind a revision": placed, "from now": fromNow} {
		for i := 1; i <= 2; {
			events, err := w.Next(ctx)
			if err != nil && providers.CodeOf(err) != providers.Unavailable {
				t.Fatalf("a watcher %s: %v", name, err)
			}
			for _, e := range events {
				if string(e.Value) != fmt.Sprint(i) {
					t.Fatalf("a watcher %s: the event of %s came, want that of %d", name, e.Value, i)
				}
				i++
			}
		}
	}
}

// TestVolatileIsAGap shows that what a plugin loses with its process is not
// passed over in silence.
func TestVolatileIsAGap(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), eager)
	p := open(t, h, "plugin+mem://")
	ctx := t.Context()
	s := must[*kv.Store](t)(kv.Open(ctx, p, "s"))
	first := must[kv.Revision](t)(s.Put(ctx, "a", []byte("0")))
	w := must[*kv.Watcher](t)(s.Watch(ctx, "", kv.After(first)))
	topic := must[*pubsub.Topic](t)(pubsub.Open(ctx, p, "t"))
	sub := must[*pubsub.Subscription](t)(pubsub.Subscribe(ctx, p, "t", pubsub.Group("g")))
	killed(t, h, p)
	for range 3 { // the new store has revisions that the old one had
		must[kv.Revision](t)(s.Put(ctx, "b", nil))
	}
	if _, err := w.Next(ctx); providers.CodeOf(err) != providers.Compacted {
		t.Errorf("the watcher: %v", err)
	}
	if _, err := sub.Receive(ctx); providers.CodeOf(err) != providers.Compacted {
		t.Errorf("the subscription: %v", err)
	}
	must[pubsub.Receipt](t)(topic.Publish(ctx, pubsub.Message{Body: []byte("after")}))
	if d := next(t, sub); string(d.Body) != "after" {
		t.Errorf("%s came", d.Body)
	}
}
