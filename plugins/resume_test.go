package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

// killed kills the plugin of a provider and waits until it works again.
func killed(t *testing.T, h *plugins.Host, p fairlead.Provider) {
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

// settings is the struct that tests watch.
type settings struct{ Rate int }

// waiting has a watcher, a subscription and settings that wait in a provider for
// changes. Any error that does not pass fails the test.
type waiting struct {
	t                *testing.T
	store            *kv.Store
	topic            *pubsub.Topic
	source           *config.Source
	events, messages <-chan string
	settings         *config.Watcher[settings]
}

func newWaiting(t *testing.T, p fairlead.Provider) *waiting {
	t.Helper()
	ctx := t.Context()
	w := &waiting{
		t: t, store: must[*kv.Store](t)(kv.Open(ctx, p, "s")),
		topic:    must[*pubsub.Topic](t)(pubsub.Open(ctx, p, "t")),
		source:   must[*config.Source](t)(config.Open(ctx, p, "app")),
		settings: watchSettings(t, p),
	}
	watcher := must[*kv.Watcher](t)(w.store.Watch(ctx, "k"))
	sub := must[*pubsub.Subscription](t)(pubsub.Subscribe(ctx, p, "t", pubsub.Group("g")))
	t.Cleanup(func() { _ = sub.Close(context.Background()) })
	w.events = follow(t, "watching", func(ctx context.Context) (string, error) {
		events, err := watcher.Next(ctx)
		if err != nil {
			return "", err
		}
		return string(events[0].Value), nil
	})
	w.messages = follow(t, "receiving", func(ctx context.Context) (string, error) {
		d, err := sub.Receive(ctx)
		if err != nil {
			return "", err
		}
		return string(d.Body), d.Ack(ctx)
	})
	return w
}

func watchSettings(t *testing.T, p fairlead.Provider) *config.Watcher[settings] {
	t.Helper()
	w := must[*config.Watcher[settings]](t)(config.Watch[settings](t.Context(), config.From(p, "app"), config.OnError(func(err error) {
		if !errors.Is(err, fairlead.Unavailable) {
			t.Errorf("the settings: %v", err)
		}
	})))
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

// come makes one change for each of them, and waits until all have arrived.
func (w *waiting) come(n int) {
	w.t.Helper()
	ctx, text := w.t.Context(), strconv.Itoa(n)
	must[kv.Revision](w.t)(w.store.Put(ctx, "k", []byte(text)))
	must[pubsub.Receipt](w.t)(w.topic.Publish(ctx, pubsub.Message{Body: []byte(text)}))
	must[string](w.t)(w.source.Set(ctx, config.Put("rate", []byte(text))))
	for what, come := range map[string]<-chan string{"event": w.events, "message": w.messages} {
		select {
		case got := <-come:
			if got != text {
				w.t.Errorf("got the %s %q, want %q", what, got, text)
			}
		case <-time.After(30 * time.Second):
			w.t.Fatalf("the %s %s does not arrive", what, text)
		}
	}
	check.Eventually(w.t, "the setting is seen", func() bool { return w.settings.Get().Rate == n })
}

// follow calls f repeatedly until the test ends, and returns a channel of its
// results. It ignores the error Unavailable; any other error fails the test.
func follow(t *testing.T, what string, f func(context.Context) (string, error)) <-chan string {
	t.Helper()
	come := make(chan string, 100)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		defer close(come)
		for ctx.Err() == nil {
			v, err := f(ctx)
			switch {
			case err == nil:
				come <- v
			case ctx.Err() == nil && !errors.Is(err, fairlead.Unavailable):
				t.Errorf("%s: %v", what, err)
				return
			}
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return come
}

// TestThoseWhoWaitGoOn shows that a watcher, a group and settings continue after
// their plugin was killed.
func TestThoseWhoWaitGoOn(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), eager)
	p := open(t, h, "plugin+"+testbed.Redis(t).URL())
	w := newWaiting(t, p)
	w.come(1)
	for n := 2; n < 5; n++ {
		killed(t, h, p)
		w.come(n)
	}
}

// TestMendedPluginGoesOn shows that open handles work again after a plugin that
// could no longer be started was installed again.
func TestMendedPluginGoesOn(t *testing.T) {
	folder := installed(t, "redis")
	h := newHost(t, plugins.WithFolders(folder), plugins.WithRestart(plugins.RestartPolicy{
		MinPause: time.Millisecond, MaxPause: 10 * time.Millisecond,
		MaxStarts: 3, Window: time.Minute, Cooldown: 50 * time.Millisecond,
	}))
	p := open(t, h, "plugin+"+testbed.Redis(t).URL())
	w := newWaiting(t, p)
	w.come(1)
	for i, file := range []string{"fairlead-redis", "fairlead-redis.json"} {
		back := away(t, filepath.Join(folder, file))
		if err := syscall.Kill(h.Status()[0].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		check.Eventually(t, "a call says why", func() bool {
			_, err := w.store.Get(t.Context(), "k")
			return errors.Is(err, fairlead.Unavailable) && strings.Contains(err.Error(), "there is no plugin") != strings.Contains(err.Error(), "is refused")
		})
		back()
		works(t, p)
		w.come(i + 2)
	}
}

// TestServerGoesOn shows that a server serves again after the plugin that its
// calls come through was killed.
func TestServerGoesOn(t *testing.T) {
	server := testbed.NATS(t)
	h := newHost(t, plugins.WithFolders(installed(t, "nats")), eager)
	p := open(t, h, "plugin+"+server.URL())
	answer(t, p, "first")
	client := openURL(t, server.URL())
	eventuallyAnswered(t, client, "first")
	for range 3 {
		killed(t, h, p)
		eventuallyAnswered(t, client, "first")
	}
}

// next receives a message. It tries again after the error Unavailable.
func next(t *testing.T, s *pubsub.Subscription) *pubsub.Delivery {
	t.Helper()
	var d *pubsub.Delivery
	var err error
	check.Eventually(t, "a message comes", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d, err = s.Receive(ctx)
		if err != nil && fairlead.CodeOf(err) != fairlead.Unavailable {
			t.Fatalf("receiving: %v", err)
		}
		return err == nil
	})
	return d
}

// TestBroadcastGoesOn shows that a broadcast subscription continues after the
// last acknowledged message when its plugin was killed.
func TestBroadcastGoesOn(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), eager)
	p := open(t, h, "plugin+"+testbed.Redis(t).URL())
	ctx := t.Context()
	topic := must[*pubsub.Topic](t)(pubsub.Open(ctx, p, "t"))
	sub := must[*pubsub.Subscription](t)(pubsub.Subscribe(ctx, p, "t", pubsub.WithoutGroup()))
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
	if err := held[0].Ack(ctx); fairlead.CodeOf(err) != fairlead.Conflict {
		t.Errorf("acknowledging a message that the previous plugin delivered: %v", err)
	}
	publish(10, 12)
	for i := 5; i < 12; i++ {
		if d := next(t, sub); string(d.Body) != fmt.Sprintf("%02d", i) {
			t.Fatalf("got %s, want %02d", d.Body, i)
		}
	}
}

// TestWatchGoesOn shows that a watcher continues after its plugin was killed, even
// if it had read nothing yet.
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
	for name, w := range map[string]*kv.Watcher{"after a revision": placed, "from now": fromNow} {
		for i := 1; i <= 2; {
			events, err := w.Next(ctx)
			if err != nil && fairlead.CodeOf(err) != fairlead.Unavailable {
				t.Fatalf("a watcher %s: %v", name, err)
			}
			for _, e := range events {
				if string(e.Value) != fmt.Sprint(i) {
					t.Fatalf("a watcher %s: got the event of %s, want the event of %d", name, e.Value, i)
				}
				i++
			}
		}
	}
}

// TestVolatileIsAGap shows that watchers and subscriptions report a gap after a
// plugin lost its data with its process.
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
	for range 3 { // the new store repeats revisions of the old one
		must[kv.Revision](t)(s.Put(ctx, "b", nil))
	}
	if _, err := w.Next(ctx); fairlead.CodeOf(err) != fairlead.Compacted {
		t.Errorf("the watcher: %v", err)
	}
	if _, err := sub.Receive(ctx); fairlead.CodeOf(err) != fairlead.Compacted {
		t.Errorf("the subscription: %v", err)
	}
	must[pubsub.Receipt](t)(topic.Publish(ctx, pubsub.Message{Body: []byte("after")}))
	if d := next(t, sub); string(d.Body) != "after" {
		t.Errorf("%s came", d.Body)
	}
}
