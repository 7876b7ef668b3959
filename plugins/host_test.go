package plugins_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
)

// open opens a URL, and closes the provider at the end of the test.
func open(t testing.TB, h *plugins.Host, url string, opts ...fairlead.Option) fairlead.Provider {
	t.Helper()
	opts = append(opts, fairlead.WithLogger(slog.New(slog.DiscardHandler)))
	p, err := h.Open(t.Context(), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("closing the provider: %v", err)
		}
	})
	return p
}

func store(t testing.TB, p fairlead.Provider) *kv.Store {
	t.Helper()
	s, err := kv.Open(t.Context(), p, "users")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// exercise puts a key and gets it.
func exercise(t testing.TB, s *kv.Store) {
	t.Helper()
	if _, err := s.Put(t.Context(), "ann", []byte("1")); err != nil {
		t.Fatal(err)
	}
	e, err := s.Get(t.Context(), "ann")
	if err != nil || string(e.Value) != "1" {
		t.Fatalf("got %q, %v", e.Value, err)
	}
}

func TestHostOpensAPlugin(t *testing.T) {
	for _, over := range []plugins.Transport{plugins.Frames, plugins.Stream} {
		for _, url := range []string{"plugin+mem://", "mem://", "PLUGIN+mem://a?history=10"} {
			t.Run(string(over)+" "+url, func(t *testing.T) {
				h := newHost(t, plugins.WithFolders(installed(t, "memory")), plugins.WithTransport(over))
				exercise(t, store(t, open(t, h, url)))
			})
		}
	}
}

// One process serves all providers of a host, and ends when the last of them is
// closed.
func TestProvidersShareAProcess(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	a, err := h.Open(t.Context(), "plugin+mem://shared")
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, h, "plugin+mem://shared")
	exercise(t, store(t, a))
	if e, err := store(t, b).Get(t.Context(), "ann"); err != nil || string(e.Value) != "1" {
		t.Errorf("the second provider got %q, %v", e.Value, err)
	}
	before := h.Status()
	if len(before) != 1 || before[0].State != plugins.Running || before[0].Generation != 1 {
		t.Fatalf("status %+v, want one running plugin in its first generation", before)
	}
	for _, p := range []fairlead.Provider{a, a, b} {
		if !alive(before[0].PID) {
			t.Error("the process has ended before the last provider was closed")
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if alive(before[0].PID) {
		t.Error("the process still exists after the last provider was closed")
	}
	exercise(t, store(t, open(t, h, "plugin+mem://")))
	if s := h.Status()[0]; s.Generation != 2 {
		t.Errorf("after another Open the generation is %d, want 2", s.Generation)
	}
}

func TestHostClosesWhatIsOpen(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	p, err := h.Open(t.Context(), "plugin+mem://")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Describe(t.Context()); !errors.Is(err, fairlead.Closed) {
		t.Errorf("a provider of a closed host says %v, want Closed", err)
	}
	if _, err := h.Open(t.Context(), "plugin+mem://"); !errors.Is(err, fairlead.Closed) {
		t.Errorf("a closed host opens: %v, want Closed", err)
	}
}

func TestURLsAreCheckedBeforeThePluginStarts(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	for url, want := range map[string]string{
		"plugin+mem://?histori=1": `unknown setting "histori"; accepted: dedupe-window, history`,
		"plugin+mem://?history=0": "the least is 1",
		"plugin+rabbit://":        `there is no plugin for "rabbit" in `,
		"nonsense":                "",
	} {
		_, err := h.Open(t.Context(), url)
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want Invalid with %q", url, err, want)
		}
	}
	if s := h.Status(); len(s) > 0 {
		t.Errorf("a plugin was started: %+v", s)
	}
}

// A secret is neither in the plugin's arguments nor in its environment.
func TestSecretsCross(t *testing.T) {
	const secret = "s3cret-of-the-test"
	server := testbed.Redis(t, testbed.RedisPassword(secret))
	h := newHost(t, plugins.WithFolders(installed(t, "redis")))
	url := "plugin+redis://" + server.Addr() + "?password-env=FAIRLEAD_TEST_PASSWORD"

	if _, err := h.Open(t.Context(), url); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("without the variable: got %v, want Invalid", err)
	}
	t.Setenv("FAIRLEAD_TEST_PASSWORD", secret)
	exercise(t, store(t, open(t, h, url)))
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(h.Status()[0].PID) + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("the secret is in /proc/PID/%s", file)
		}
	}
	looked := fairlead.WithLookupEnv(func(name string) (string, bool) { return secret, name == "ELSEWHERE" })
	exercise(t, store(t, open(t, h, "plugin+redis://"+server.Addr()+"?password-env=ELSEWHERE", looked)))
}

// go-plugin's server takes 4 MiB at most.
func TestLargeValues(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), plugins.WithTransport(plugins.Stream))
	p := open(t, h, "plugin+mem://")
	d, err := p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	facet, _ := d.Facet(fairlead.KV)
	s := store(t, p)
	value := make([]byte, facet.Limits.MaxValueBytes)
	if len(value) <= 4<<20 {
		t.Fatalf("the limit is %d: the test would show nothing", len(value))
	}
	if _, err := s.Put(t.Context(), "large", value); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Get(t.Context(), "large"); err != nil || len(e.Value) != len(value) {
		t.Fatalf("got %d bytes, %v", len(e.Value), err)
	}
}

// TestUnknownTransport shows that an unknown transport is refused, not replaced.
func TestUnknownTransport(t *testing.T) {
	if _, err := plugins.NewHost(plugins.WithTransport("pigeon")); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("WithTransport: got %v, want Invalid", err)
	}
	p, err := fairlead.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plugins.Loopback(t.Context(), p, "pigeon"); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("Loopback: got %v, want Invalid", err)
	}
	if _, err := p.Describe(t.Context()); !errors.Is(err, fairlead.Closed) {
		t.Errorf("the provider after a failed Loopback: %v, want Closed", err)
	}
}
