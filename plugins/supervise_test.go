package plugins_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
)

// eager restarts plugins at once, without a limit on the number of restarts.
var eager = plugins.WithRestart(plugins.RestartPolicy{
	MinPause: time.Millisecond, MaxPause: 10 * time.Millisecond,
	MaxStarts: 1000, Window: time.Minute, Cooldown: time.Minute,
})

// running waits for a process other than the given one.
func running(t testing.TB, h *plugins.Host, other int) plugins.Status {
	t.Helper()
	var s plugins.Status
	check.Eventually(t, "another process runs", func() bool {
		s = h.Status()[0]
		return s.State == plugins.Running && s.PID != 0 && s.PID != other
	})
	return s
}

// works polls until the provider works again.
func works(t testing.TB, p fairlead.Provider) {
	t.Helper()
	var err error
	check.Eventually(t, "the provider works", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var s *kv.Store
		if s, err = kv.Open(ctx, p, "users"); err != nil {
			return false
		}
		defer s.Close(context.Background())
		_, err = s.Put(ctx, "ann", []byte("1"))
		return err == nil
	})
}

// The plugin is killed 50 times while providers are in use. newHost checks that
// nothing is left.
func TestFiftyKills(t *testing.T) {
	for _, over := range []plugins.Transport{plugins.Frames, plugins.Stream} {
		t.Run(string(over), func(t *testing.T) {
			h := newHost(t, plugins.WithFolders(installed(t, "memory")), plugins.WithTransport(over), eager)
			ps := []fairlead.Provider{open(t, h, "plugin+mem://a"), open(t, h, "plugin+mem://b")}
			pids := killMany(t, h, ps, 25)
			for _, pid := range pids {
				if alive(pid) {
					t.Errorf("the process %d still exists although it was killed", pid)
				}
			}
			if s := h.Status()[0]; s.Generation != 26 || s.Restarts != 25 || s.LastError == nil {
				t.Errorf("the status is %+v, want the generation 26, 25 restarts and an error", s)
			}
		})
	}
}

func killMany(t *testing.T, h *plugins.Host, ps []fairlead.Provider, n int) (killed []int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var users sync.WaitGroup
	for _, p := range ps {
		users.Go(func() {
			for ctx.Err() == nil {
				s, err := kv.Open(ctx, p, "busy")
				for ; err == nil; _, err = s.Put(ctx, "k", []byte("v")) {
				}
				if s != nil {
					_ = s.Close(context.Background())
				}
			}
		})
	}
	last := 0
	for range n {
		s := running(t, h, last)
		last = s.PID
		killed = append(killed, last)
		if err := syscall.Kill(last, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	running(t, h, last)
	stop()
	users.Wait()
	for _, p := range ps {
		works(t, p)
	}
	return killed
}

// A plugin that is stopped by a signal neither ends nor answers.
func TestAHangingPluginIsReplaced(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), eager,
		plugins.WithHealthCheck(50*time.Millisecond, 500*time.Millisecond))
	p := open(t, h, "plugin+mem://")
	first := h.Status()[0].PID
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := running(t, h, first)
	if alive(first) {
		t.Error("the process that hangs still exists")
	}
	if !strings.Contains(fmt.Sprint(s.LastError), "failed a health check") {
		t.Errorf("the last error is %v", s.LastError)
	}
	works(t, p)
}

// script returns a plugin folder with a plugin that is a shell script.
func script(t testing.TB, text string) string {
	t.Helper()
	dir := installed(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeScript(t, dir, text)
	return dir
}

func writeScript(t testing.TB, dir, text string) {
	t.Helper()
	path := filepath.Join(dir, "fairlead-script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	writeManifest(t, dir, plugins.Manifest{
		Name: "script", Command: "fairlead-script", SHA256: sum(t, path), Protocols: []int{1},
		Schemes: []plugins.Scheme{{Name: "mem"}, {Name: "script"}},
	})
}

func writeManifest(t testing.TB, dir string, m plugins.Manifest) {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fairlead-"+m.Name+".json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCrashLoop(t *testing.T) {
	dir := script(t, "echo out of luck >&2; exit 7")
	var log lockedBuffer
	h := newHost(t, plugins.WithFolders(dir), plugins.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		plugins.WithRestart(plugins.RestartPolicy{
			MinPause: time.Millisecond, MaxPause: 2 * time.Millisecond,
			MaxStarts: 3, Window: time.Minute, Cooldown: time.Hour,
		}))
	_, err := h.Open(t.Context(), "plugin+script://")
	if !errors.Is(err, fairlead.Unavailable) || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "out of luck") {
		t.Fatalf("got %v, want Unavailable with the exit status and the last line", err)
	}
	_ = h.Close(t.Context())
	if n := strings.Count(log.String(), "restarting"); n != 2 {
		t.Errorf("the plugin was restarted %d times, want 2\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), `msg="out of luck"`) || !strings.Contains(log.String(), "level=ERROR msg=\"a plugin has failed\"") {
		t.Errorf("the log is\n%s", log.String())
	}
}

// An open provider reports the crash loop, and works again after another Open has
// started the repaired plugin.
func TestCrashLoopIsTriedAgainAtTheNextOpen(t *testing.T) {
	dir := script(t, "exec "+binary(t, "memory"))
	h := newHost(t, plugins.WithFolders(dir), plugins.WithRestart(plugins.RestartPolicy{
		MinPause: time.Millisecond, MaxPause: 2 * time.Millisecond,
		MaxStarts: 3, Window: time.Minute, Cooldown: time.Hour,
	}))
	p := open(t, h, "mem://")
	exercise(t, store(t, p))
	writeScript(t, dir, "echo broken >&2; exit 1")
	if err := syscall.Kill(h.Status()[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "the plugin has failed", func() bool { return h.Status()[0].State == plugins.Failed })
	check.Eventually(t, "a call says why", func() bool {
		_, err := kv.Open(t.Context(), p, "users")
		return errors.Is(err, fairlead.Unavailable) && strings.Contains(err.Error(), "broken")
	})
	writeScript(t, dir, "exec "+binary(t, "memory"))
	exercise(t, store(t, open(t, h, "mem://other")))
	works(t, p)
}

// A fault that another start cannot fix leads to no further starts.
func TestARefusedBinaryIsNotTriedAgain(t *testing.T) {
	dir := installed(t, "memory")
	h := newHost(t, plugins.WithFolders(dir))
	if err := os.WriteFile(filepath.Join(dir, "fairlead-memory"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := h.Open(t.Context(), "plugin+mem://")
	if fairlead.CodeOf(err) != fairlead.PermissionDenied || !strings.Contains(err.Error(), "the checksum of") {
		t.Fatalf("got %v, want PermissionDenied for the checksum", err)
	}
	if s := h.Status()[0]; s.Generation != 0 {
		t.Errorf("it was started: %+v", s)
	}
}

// A plugin that prints without a newline before its handshake works; one that ends
// then is reported with what it has printed.
func TestOutputBeforeTheHandshake(t *testing.T) {
	var log lockedBuffer
	h := newHost(t, plugins.WithFolders(script(t, "printf 'starting 3|2|1'; exec "+binary(t, "memory"))), plugins.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	exercise(t, store(t, open(t, h, "plugin+mem://")))
	if !strings.Contains(log.String(), "starting 3|2|1") {
		t.Errorf("the log is\n%s", log.String())
	}
	h = newHost(t, plugins.WithFolders(script(t, "printf 'no library'; exit 3")), plugins.WithRestart(plugins.RestartPolicy{
		MinPause: time.Millisecond, MaxPause: time.Millisecond, MaxStarts: 2, Window: time.Minute, Cooldown: time.Hour,
	}))
	if _, err := h.Open(t.Context(), "plugin+mem://"); !errors.Is(err, fairlead.Unavailable) || !strings.Contains(err.Error(), "stdout: no library") {
		t.Errorf("got %v, want Unavailable with the output", err)
	}
}

// A plugin ends by itself when its host closes it.
func TestAPluginEndsWell(t *testing.T) {
	var log lockedBuffer
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), plugins.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err := open(t, h, "plugin+mem://").Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "did not exit with status 0") {
		t.Error(log.String())
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	h := newHost(t, plugins.WithFolders(script(t, "sleep 3600")))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.Open(ctx, "plugin+script://"); !errors.Is(err, fairlead.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if s := h.Status()[0]; s.State != plugins.Stopped {
		t.Errorf("the plugin is %s, want stopped", s.State)
	}
}

// Closing the host ends a plugin that an Open is still starting.
func TestCloseDuringOpen(t *testing.T) {
	h := newHost(t, plugins.WithFolders(script(t, "sleep 3600")))
	opened := make(chan error, 1)
	go func() {
		_, err := h.Open(t.Context(), "plugin+script://")
		opened <- err
	}()
	check.Eventually(t, "the plugin is being started", func() bool { return len(h.Status()) > 0 })
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := h.Status()[0]; s.State != plugins.Stopped {
		t.Errorf("the plugin is %s, want stopped", s.State)
	}
	if err := <-opened; !errors.Is(err, fairlead.Closed) {
		t.Errorf("got %v, want Closed", err)
	}
}

func TestIdle(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), plugins.WithIdle(300*time.Millisecond))
	for range 3 {
		p, err := h.Open(t.Context(), "plugin+mem://")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := h.Status()[0]; s.Generation != 1 {
		t.Errorf("the generation is %d, want 1: the process is kept for the next Open", s.Generation)
	}
	check.Eventually(t, "the unused plugin is stopped", func() bool { return h.Status()[0].State == plugins.Stopped })
}

// Concurrent opens and closes use one process at a time.
func TestOpenAndCloseSideBySide(t *testing.T) {
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				p, err := h.Open(t.Context(), "plugin+mem://")
				if err != nil {
					t.Error(err)
					return
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestMetrics(t *testing.T) {
	reader := metric.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	defer otel.SetMeterProvider(before)
	h := newHost(t, plugins.WithFolders(installed(t, "memory")), eager)
	p := open(t, h, "plugin+mem://")
	first := h.Status()[0].PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	running(t, h, first)
	want(t, reader, map[string]int64{"fairlead.plugin.up": 1, "fairlead.plugin.restarts": 1})
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, reader, map[string]int64{"fairlead.plugin.up": 0, "fairlead.plugin.restarts": 1})
}

func want(t *testing.T, r metric.Reader, values map[string]int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				got[m.Name] = d.DataPoints[0].Value
			case metricdata.Sum[int64]:
				got[m.Name] = d.DataPoints[0].Value
			}
		}
	}
	for name, v := range values {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %d, want %d", name, g, v)
		}
	}
}
