//go:build torture

package soak

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/pubsub"
	"fairlead.dev/rpc"
)

var (
	idle = flag.Duration("idle", 10*time.Minute, "for how long nothing happens")
	only = flag.String("provider", "", "the only provider that is left idle; all by default")
)

// shortWait is the deadline of the waits that are repeated.
const shortWait = time.Second

// backends start the servers, and return the URLs.
var backends = map[string]func(*testing.T) string{
	"redis": func(t *testing.T) string { return testbed.Redis(t).URL() },
	"etcd":  func(t *testing.T) string { return testbed.Etcd(t).URL() },
	"nats":  func(t *testing.T) string { return testbed.NATS(t).URL() },
	"dapr": func(t *testing.T) string {
		group := map[string]string{"redisHost": testbed.Redis(t).Addr(), "concurrency": "100", "queueDepth": "100", "poolSize": "40"}
		sidecar := testbed.Dapr(t, testbed.DaprApp("idle"), testbed.DaprAppPort(testbed.Port(t)),
			testbed.DaprComponent(testbed.DaprState, "state.redis", map[string]string{"redisHost": testbed.Redis(t).Addr()}),
			testbed.DaprComponent(testbed.DaprConfig, "configuration.redis", map[string]string{"redisHost": testbed.Redis(t).Addr()}),
			testbed.DaprComponent("a", "pubsub.redis", with(group, "a")), testbed.DaprComponent("b", "pubsub.redis", with(group, "b")))
		return sidecar.URL() + "?" + url.Values{"pubsub": {"a"}, "group-pubsubs": {"b"}, "app": {"idle"}}.Encode()
	},
}

func with(metadata map[string]string, consumer string) map[string]string {
	all := map[string]string{"consumerID": consumer}
	for k, v := range metadata {
		all[k] = v
	}
	return all
}

// TestSoakIdle opens every facet of every provider, on real servers, and leaves them
// idle. Meanwhile nothing may be reported: no error, no warning, no other description;
// no goroutine may be left behind. Then everything must work.
func TestSoakIdle(t *testing.T) {
	w := warnings{t: t, over: new(atomic.Bool), Handler: slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})}
	logger := slog.New(w)
	slog.SetDefault(logger)
	log.SetOutput(os.Stderr)
	end := make(chan struct{})
	var idlers []*idler
	var opening sync.WaitGroup
	for name, start := range backends {
		if *only != "" && *only != name {
			continue
		}
		i := &idler{T: t, name: name, logger: logger, end: end}
		idlers = append(idlers, i)
		target := start(t)
		opening.Go(func() { i.open(target) })
	}
	opening.Wait()
	grown := watchGoroutines()
	select {
	case <-time.After(*idle):
	case <-t.Context().Done():
	}
	grown(t)
	close(end)
	for _, i := range idlers {
		i.work()
	}
	w.over.Store(true)
	for _, i := range idlers {
		i.close()
	}
}

// watchGoroutines counts the goroutines once a second. The function that it returns
// fails the test if the least number of the last third exceeds the least of the second:
// connections are made in the first.
func watchGoroutines() func(*testing.T) {
	var mu sync.Mutex
	var counts []int
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-time.After(time.Second):
			case <-stop:
				return
			}
			mu.Lock()
			counts = append(counts, runtime.NumGoroutine())
			mu.Unlock()
		}
	}()
	return func(t *testing.T) {
		close(stop)
		mu.Lock()
		defer mu.Unlock()
		third := len(counts) / 3
		if third == 0 {
			return
		}
		before, last := least(counts[third:2*third]), least(counts[2*third:])
		t.Logf("measured: %d goroutines in the second third, %d in the last", before, last)
		if last > before {
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("the goroutines grew from %d to %d: %s", before, last, stacks.String())
		}
	}
}

func least(counts []int) int {
	n := counts[0]
	for _, c := range counts {
		n = min(n, c)
	}
	return n
}

// warnings fails the test at each log line of the level Warn or above.
type warnings struct {
	slog.Handler
	t    *testing.T
	over *atomic.Bool
}

func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	if !w.over.Load() {
		w.t.Errorf("logged: %s", r.Message)
	}
	return w.Handler.Handle(ctx, r)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	w.Handler = w.Handler.WithAttrs(attrs)
	return w
}

func (w warnings) WithGroup(name string) slog.Handler {
	w.Handler = w.Handler.WithGroup(name)
	return w
}

// settings are what the watchers of configuration read.
type settings struct{ Size int }

// idler has what is open over one provider.
type idler struct {
	*testing.T
	name   string
	logger *slog.Logger
	end    chan struct{} // closed at the end of the idle time

	p       fairlead.Provider
	works   []func() // after the idle time, the last opened first
	closers fairlead.Closers
	waits   sync.WaitGroup
}

// open opens a handle of each kind. What waits then fails the test if it ends before
// the idle time does.
func (i *idler) open(target string) {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, target, fairlead.WithLogger(i.logger))
	if i.failed("Open", err) {
		return
	}
	i.p = p
	d, err := p.Describe(ctx)
	if i.failed("Describe", err) {
		return
	}
	i.closers.Add(p)
	i.wait("Await", func(ctx context.Context) error { _, err := p.Await(ctx, d.Generation); return err })
	for _, f := range d.Facets {
		switch f.Facet {
		case fairlead.KV:
			i.openStore(ctx, f)
			if f.Has(kv.Watch) {
				i.openConfig(ctx, true)
			}
		case fairlead.Config:
			i.openConfig(ctx, false)
		case fairlead.PubSub:
			i.openTopic(ctx, f)
		case fairlead.RPC:
			i.openService(ctx)
		}
	}
}

func (i *idler) failed(what string, err error) bool {
	i.Helper()
	if err != nil {
		i.Errorf("%s: %s: %v", i.name, what, err)
	}
	return err != nil
}

// wait calls next with a context that ends after the test, and demands that it still
// waits when the idle time ends.
func (i *idler) wait(what string, next func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	i.waits.Go(func() {
		err := next(ctx)
		select {
		case <-i.end:
		default:
			i.Errorf("%s: %s ended: %v", i.name, what, err)
		}
	})
	i.works = append(i.works, cancel)
}

// waitShortly calls next again and again with a short deadline, which is to end it.
func (i *idler) waitShortly(what string, next func(context.Context) error) {
	i.waits.Go(func() {
		for {
			ctx, cancel := context.WithTimeout(context.Background(), shortWait)
			err := next(ctx)
			cancel()
			select {
			case <-i.end:
				return
			default:
			}
			if fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
				i.Errorf("%s: %s with a deadline: %v", i.name, what, err)
				time.Sleep(shortWait) // an error a second is enough
			}
		}
	})
}

func (i *idler) openStore(ctx context.Context, f fairlead.FacetDescription) {
	s, err := kv.Open(ctx, i.p, "idle")
	if i.failed("kv.Open", err) {
		return
	}
	i.closers.Add(s)
	if f.Has(kv.Watch) {
		seen := make(chan struct{})
		w, err := s.Watch(ctx, "")
		if i.failed("Watch", err) {
			return
		}
		short, err := s.Watch(ctx, "")
		if i.failed("Watch", err) {
			return
		}
		i.closers.Add(w)
		i.closers.Add(short)
		i.waits.Go(func() {
			_, err := w.Next(context.Background())
			select {
			case <-i.end:
				i.failed("Next", err)
				close(seen)
			default:
				i.Errorf("%s: Next ended: %v", i.name, err)
			}
		})
		i.waitShortly("Next", func(ctx context.Context) error { _, err := short.Next(ctx); return err })
		i.works = append(i.works, func() {
			_, err := s.Put(ctx, "k", []byte("v"))
			i.failed("Put", err)
			i.within("an event", seen)
		})
	}
	if f.Has(kv.CAS) && f.Has(kv.TTL) {
		i.holdLock(ctx)
	}
}

// holdLock holds a lock of a store of its own, whose renewals no watcher sees, and
// another caller waits for it.
func (i *idler) holdLock(ctx context.Context) {
	s, err := kv.Open(ctx, i.p, "idle-locks")
	if i.failed("kv.Open", err) {
		return
	}
	i.closers.Add(s)
	m, err := lock.New(s, "idle")
	if i.failed("lock.New", err) {
		return
	}
	l, err := m.Lock(ctx)
	if i.failed("Lock", err) {
		return
	}
	other, err := lock.New(s, "idle")
	i.failed("lock.New", err)
	taken := make(chan struct{})
	i.waits.Go(func() {
		next, err := other.Lock(ctx)
		select {
		case <-i.end:
			if !i.failed("Lock after the release", err) {
				i.failed("Release", next.Release(ctx))
			}
			close(taken)
		default:
			i.Errorf("%s: a second Lock ended: %v", i.name, err)
		}
	})
	i.works = append(i.works, func() {
		i.failed("a held lock", l.Err())
		i.failed("Release", l.Release(ctx))
		i.within("the lock for the one that waits", taken)
	})
}

// openConfig watches settings. writes says whether the provider can change them.
func (i *idler) openConfig(ctx context.Context, writes bool) {
	w, err := config.Watch[settings](ctx, config.From(i.p, "idle-settings"), config.OnError(func(err error) {
		i.Errorf("%s: config reports %v", i.name, err)
	}))
	if i.failed("config.Watch", err) {
		return
	}
	i.closers.Add(w)
	i.waits.Go(func() {
		for {
			select {
			case <-i.end:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if err := w.Err(); err != nil {
				i.Errorf("%s: config is unhealthy: %v", i.name, err)
				time.Sleep(shortWait)
			}
		}
	})
	if !writes {
		return
	}
	i.works = append(i.works, func() {
		source, err := config.Open(ctx, i.p, "idle-settings")
		if i.failed("config.Open", err) {
			return
		}
		i.closers.Add(source)
		_, err = source.Set(ctx, config.Put("size", []byte("7")))
		i.failed("Set", err)
		check.Eventually(i, "the new settings over "+i.name, func() bool { return w.Get().Size == 7 })
	})
}

func (i *idler) openTopic(ctx context.Context, f fairlead.FacetDescription) {
	topic, err := pubsub.Open(ctx, i.p, "idle")
	if i.failed("pubsub.Open", err) {
		return
	}
	i.closers.Add(topic)
	groups := map[string]pubsub.SubscribeOption{"handled": pubsub.Group("handled"), "received": pubsub.Group("received")}
	if f.Has(pubsub.Broadcast) {
		groups["broadcast"], groups["received broadcast"] = pubsub.WithoutGroup(), pubsub.WithoutGroup()
	}
	handled := make(chan struct{}, len(groups))
	number := 0
	for name, group := range groups {
		s, err := pubsub.Subscribe(ctx, i.p, "idle", group)
		if i.failed("Subscribe", err) {
			return
		}
		i.closers.Add(s)
		if strings.HasPrefix(name, "received") {
			i.waitShortly("Receive of "+name, func(ctx context.Context) error { _, err := s.Receive(ctx); return err })
			continue
		}
		number++
		report := pubsub.OnError(func(err error) {
			select {
			case <-i.end:
			default:
				i.Errorf("%s: Handle of %s reports %v", i.name, name, err)
			}
		})
		i.wait("Handle of "+name, func(ctx context.Context) error {
			return s.Handle(ctx, func(context.Context, *pubsub.Delivery) error { handled <- struct{}{}; return nil }, report)
		})
	}
	i.works = append(i.works, func() {
		_, err := topic.Publish(ctx, pubsub.Message{Body: []byte("v")})
		i.failed("Publish", err)
		for range number {
			i.within("a message", handled)
		}
	})
}

func (i *idler) openService(ctx context.Context) {
	srv, err := rpc.NewServer(ctx, i.p, "idle")
	if i.failed("rpc.NewServer", err) {
		return
	}
	rpc.Handle(srv, "idle/echo", func(_ context.Context, text string) (string, error) { return text, nil })
	if i.failed("Listen", srv.Listen(ctx)) {
		return
	}
	i.wait("Serve", srv.Serve)
	i.closers.Add(srv)
	conn, err := rpc.Dial(ctx, i.p, "idle")
	if i.failed("rpc.Dial", err) {
		return
	}
	i.closers.Add(conn)
	call := func() {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		got, err := rpc.Call[string, string](ctx, conn, "idle/echo", "v")
		if !i.failed("a call", err) && got != "v" {
			i.Errorf("%s: a call returned %q", i.name, got)
		}
	}
	call()
	i.works = append(i.works, call)
}

// within fails the test unless the channel is ready soon.
func (i *idler) within(what string, ready <-chan struct{}) {
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		i.Errorf("%s: %s did not come after the idle time", i.name, what)
	}
}

// work uses everything, the last opened first, so that a server answers before it ends.
func (i *idler) work() {
	for n := len(i.works) - 1; n >= 0; n-- {
		i.works[n]()
	}
}

func (i *idler) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	i.failed("closing", i.closers.Close(ctx))
	i.waits.Wait()
}
