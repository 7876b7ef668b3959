package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

// TestEndingIsNoEnd asks a sidecar to end while calls of all kinds wait in it: no
// caller is told that its handle is closed, and all of them continue with the
// next sidecar.
func TestEndingIsNoEnd(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		server := testbed.Redis(t)
		path := socketPath(t)
		start := func() *sidecar {
			return startSidecar(t, "redis", nil, "--listen", "unix://"+path, "--url", server.URL()+"?rpc-lease=1s")
		}
		first := start()
		p := openURL(t, "sidecar+unix://"+path+"?transport="+string(over))
		w := newWaiting(t, p)
		answer(t, p, "first")
		w.come(1)
		// The calls of the watcher, the settings and the subscription wait in
		// Redis. The registration's call lasts as long as the registration.
		check.Eventually(t, "all wait", func() bool { return blocked(t, server) == 3 })
		first.signal(t, syscall.SIGTERM)
		if code := first.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("after SIGTERM the exit code is %d; it wrote\n%s", code, first.output.String())
		}
		start()
		works(t, p)
		w.come(2)
		eventuallyAnswered(t, openURL(t, server.URL()), "first")
	})
}

// blocked returns the number of calls that wait in a server for data.
func blocked(t *testing.T, server *testbed.RedisServer) (n int) {
	t.Helper()
	for _, c := range clients(t, server) {
		if strings.Contains(c, " cmd=xread ") && strings.Contains(c, " flags=b ") {
			n++
		}
	}
	return n
}

// clients returns the connections of a server, except the one that asks.
func clients(t *testing.T, server *testbed.RedisServer) (all []string) {
	t.Helper()
	err := server.Do(t.Context(), func(ctx context.Context, c *redis.Client) error {
		list, err := c.ClientList(ctx).Result()
		for line := range strings.Lines(list) {
			if !strings.Contains(line, " cmd=client|list ") {
				all = append(all, line)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEndingIsNoEndOfAServer shows the same as TestEndingIsNoEnd for a server
// whose calls come through the sidecar.
func TestEndingIsNoEndOfAServer(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		server := testbed.NATS(t)
		path := socketPath(t)
		start := func() *sidecar {
			return startSidecar(t, "nats", nil, "--listen", "unix://"+path, "--url", server.URL())
		}
		first := start()
		answer(t, openURL(t, "sidecar+unix://"+path+"?transport="+string(over)), "first")
		client := openURL(t, server.URL())
		eventuallyAnswered(t, client, "first")
		first.signal(t, syscall.SIGTERM)
		start()
		eventuallyAnswered(t, client, "first")
	})
}

// TestNoOrphans shows that no plugin outlives its host, even if the host is
// killed and whatever the plugin's provider is doing.
func TestNoOrphans(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		folder := installed(t, "memory")
		quickly(t, func() time.Duration { return outlives(t, startHost(t, "plugin+mem://", "", folder)) })
	})
	t.Run("whose provider does not end", func(t *testing.T) {
		server := testbed.Redis(t)
		folder := installed(t, "redis")
		quickly(t, func() time.Duration { return hung(t, server, folder) })
	})
}

// hung returns how long a plugin outlives its host if the plugin's provider does
// not end because it cannot give a message back.
func hung(t *testing.T, server *testbed.RedisServer, folder string) time.Duration {
	t.Helper()
	publish(t, server, "held")
	h := startHost(t, "plugin+"+server.URL()+"?read-timeout=1m", "held", folder)
	defer paused(t, server)()
	took := outlives(t, h)
	if took < time.Second {
		t.Errorf("the plugin was gone after %v: it did not wait for its provider", took)
	}
	return took
}

// quickly fails if the attempt takes more than 2 s. The best of three attempts
// counts, so that a busy machine does not fail the test.
func quickly(t *testing.T, attempt func() time.Duration) {
	t.Helper()
	took := attempt()
	for range 2 {
		took = min(took, attempt())
	}
	t.Logf("measured: the plugin was gone %v after its host was killed, the best of three attempts", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("the plugin was gone %v after its host was killed, want 2 s at most", took)
	}
}

// outlives kills a host, and returns how long its plugin outlived it.
func outlives(t *testing.T, h *hosting) time.Duration {
	t.Helper()
	dir := environ(t, h.plugin)["FAIRLEAD_SOCKET_DIR"]
	began := time.Now()
	h.kill()
	check.Eventually(t, "the plugin is gone", func() bool { return !alive(h.plugin) })
	took := time.Since(began)
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("the socket folder %q is left: %v", dir, err)
	}
	return took
}

// paused stops a server, and returns a function that resumes it.
func paused(t *testing.T, server *testbed.RedisServer) func() {
	t.Helper()
	if err := server.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := server.Continue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// publish publishes a message without a plugin.
func publish(t *testing.T, server *testbed.RedisServer, topic string) {
	t.Helper()
	to := must[*pubsub.Topic](t)(pubsub.Open(t.Context(), openURL(t, server.URL()), topic))
	defer to.Close(t.Context())
	must[pubsub.Receipt](t)(to.Publish(t.Context(), pubsub.Message{Body: []byte("m")}))
}

// TestKilledHostGivesBack shows that the session of a killed host is closed, both
// by a sidecar and by a plugin that ends with its host: the messages that the host
// held are delivered to another consumer long before their leases end.
func TestKilledHostGivesBack(t *testing.T) {
	overBoth(t, func(t *testing.T, over plugins.Transport) {
		t.Run("sidecar", func(t *testing.T) {
			server := testbed.Redis(t)
			path := socketPath(t)
			startSidecar(t, "redis", nil, "--listen", "unix://"+path, "--url", server.URL())
			givesBack(t, server, "sidecar+unix://"+path+"?transport="+string(over), "")
		})
	})
	t.Run("plugin", func(t *testing.T) {
		server := testbed.Redis(t)
		givesBack(t, server, "plugin+"+server.URL(), installed(t, "redis"))
	})
}

// givesBack starts a host that opens a URL and holds two messages, one of which
// it has not read yet. It kills the host, and waits for the messages.
func givesBack(t *testing.T, server *testbed.RedisServer, url, folder string) {
	publish(t, server, "held")
	h := startHost(t, url, "held", folder)
	check.Eventually(t, "the host waits for more", func() bool { return blocked(t, server) == 1 })
	if err := h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "the host stands still", func() bool { return state(h.cmd.Process.Pid) == "T" })
	publish(t, server, "held")
	check.Eventually(t, "both messages are held", func() bool { return held(t, server) == 2 })
	sub := must[*pubsub.Subscription](t)(pubsub.Subscribe(t.Context(), openURL(t, server.URL()), "held", pubsub.Group("g")))
	t.Cleanup(func() { _ = sub.Close(context.Background()) })
	h.kill()
	for range 2 {
		if d := next(t, sub); d.Attempt != 2 {
			t.Errorf("the message has the attempt %d, want 2: the killed host did not hold it", d.Attempt)
		}
	}
}

// held returns the number of messages of the topic "held" that are delivered to
// the group and not settled.
func held(t *testing.T, server *testbed.RedisServer) (n int64) {
	t.Helper()
	err := server.Do(t.Context(), func(ctx context.Context, c *redis.Client) error {
		pending, err := c.XPending(ctx, "fairlead:ps:{held}:stream", "g").Result()
		if err == nil {
			n = pending.Count
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLoggingIsNoEnd shows that a plugin whose host is gone can still log while it
// closes its sessions. Nothing reads its standard error any more, so a write to
// it would kill the plugin with SIGPIPE.
func TestLoggingIsNoEnd(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	open(t, h, "plugin+mem://")
	if ignored := signals(t, h.Status()[0].PID, "SigIgn"); ignored&(1<<(syscall.SIGPIPE-1)) == 0 {
		t.Errorf("SIGPIPE is not among the signals that the plugin ignores: %x", ignored)
	}
}

// TestInterruptIsTheHosts shows that Ctrl-C, which reaches all processes of a
// terminal, does not end a plugin that a host has started.
func TestInterruptIsTheHosts(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), eager)
	p := open(t, h, "plugin+mem://")
	s := store(t, p)
	exercise(t, s)
	pid := h.Status()[0].PID
	interrupt(t, pid, syscall.SIGINT)
	for range 100 {
		exercise(t, s)
	}
	if now := h.Status()[0]; now.PID != pid || now.Restarts > 0 {
		t.Errorf("after SIGINT the status is %+v, before it was process %d", now, pid)
	}
}

// TestOtherSignalsAreNoEnd shows that a sidecar ends on the signals that ask it
// to end, and not on other signals that any process may get.
func TestOtherSignalsAreNoEnd(t *testing.T) {
	path := socketPath(t)
	s := startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://")
	p := openURL(t, "sidecar+unix://"+path)
	for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGCHLD, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGPIPE} {
		interrupt(t, s.cmd.Process.Pid, sig)
		exercise(t, store(t, p))
	}
	s.signal(t, syscall.SIGINT)
	if out := s.output.String(); s.cmd.ProcessState.ExitCode() != 0 || strings.Count(out, "the plugin is ending") != 1 {
		t.Errorf("%s; it wrote\n%s", s.cmd.ProcessState, out)
	}
}

// interrupt sends a signal to a process, and returns once the process took it.
func interrupt(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "the signal is taken", func() bool { return signals(t, pid, "ShdPnd")&(1<<(sig-1)) == 0 })
}

// signals returns the set of signals of that name in a process's status, as bits.
func signals(t *testing.T, pid int, name string) uint64 {
	t.Helper()
	status := must[[]byte](t)(os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status"))
	_, set, _ := strings.Cut(string(status), name+":")
	set, _, _ = strings.Cut(set, "\n")
	return must[uint64](t)(strconv.ParseUint(strings.TrimSpace(set), 16, 64))
}

// ending is a way to end a provider while puts are under way.
type ending struct {
	name string
	open func(t *testing.T, url string) (p fairlead.Provider, end func())
}

var endings = []ending{
	{"provider", func(t *testing.T, url string) (fairlead.Provider, func()) {
		p := open(t, newHost(t, plugins.WithFolders(installed(t, "redis"))), "plugin+"+url)
		return p, func() { closes(t, p) }
	}},
	{"host", func(t *testing.T, url string) (fairlead.Provider, func()) {
		h := newHost(t, plugins.WithFolders(installed(t, "redis")))
		return open(t, h, "plugin+"+url), func() { closes(t, h) }
	}},
	{"sidecar", func(t *testing.T, url string) (fairlead.Provider, func()) {
		path := socketPath(t)
		s := startSidecar(t, "redis", nil, "--listen", "unix://"+path, "--url", url)
		p := openURL(t, "sidecar+unix://"+path)
		return p, func() {
			s.signal(t, syscall.SIGTERM)
			closes(t, p)
		}
	}},
}

func closes(t *testing.T, c interface{ Close(context.Context) error }) {
	t.Helper()
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEndingTellsTheTruth ends providers, hosts and sidecars during 200 puts:
// every acknowledged put is stored, and every stored put was either acknowledged
// or reported as unknown.
func TestEndingTellsTheTruth(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			server := testbed.Redis(t)
			failed := 0
			for round := range 5 {
				name := fmt.Sprint("round", round)
				p, end := e.open(t, server.URL())
				told := putsUnder(t, p, name, int64(1+30*round), end)
				failed += truthful(t, server, name, told)
			}
			if failed == 0 {
				t.Error("no put failed: the endings interrupted nothing")
			}
		})
	}
}

// putsUnder puts 200 keys in a store, and calls end once n of them are
// acknowledged. It returns the error of each put.
func putsUnder(t *testing.T, p fairlead.Provider, name string, n int64, end func()) map[string]error {
	t.Helper()
	s := must[*kv.Store](t)(kv.Open(t.Context(), p, name))
	defer s.Close(context.Background())
	var mu sync.Mutex
	told := map[string]error{}
	var acknowledged atomic.Int64
	now := make(chan struct{})
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() {
			for j := range 10 {
				key := fmt.Sprintf("%02d-%d", i, j)
				_, err := s.Put(t.Context(), key, []byte(key))
				if err == nil && acknowledged.Add(1) == n {
					close(now)
				}
				mu.Lock()
				told[key] = err
				mu.Unlock()
			}
		})
	}
	select {
	case <-now:
		end()
	case <-time.After(30 * time.Second):
		t.Errorf("fewer than %d puts were acknowledged", n)
	}
	writers.Wait()
	return told
}

// truthful compares the reported outcomes with the stored keys, and returns the
// number of puts that failed.
func truthful(t *testing.T, server *testbed.RedisServer, name string, told map[string]error) (failed int) {
	t.Helper()
	check.Eventually(t, "the server has carried out all it got", func() bool { return len(clients(t, server)) == 0 })
	p := must[fairlead.Provider](t)(fairlead.Open(t.Context(), server.URL()))
	defer closes(t, p)
	s := must[*kv.Store](t)(kv.Open(t.Context(), p, name))
	defer closes(t, s)
	for key, err := range told {
		_, missing := s.Get(t.Context(), key)
		if missing != nil && !errors.Is(missing, kv.ErrNotFound) {
			t.Fatal(missing)
		}
		switch {
		case err == nil && missing != nil:
			t.Errorf("%s was acknowledged, but is missing", key)
		case err != nil && !errors.Is(err, fairlead.UnknownOutcome) && missing == nil:
			t.Errorf("%s is stored, but was reported as not applied: %v", key, err)
		}
		if err != nil {
			failed++
		}
	}
	return failed
}
