package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// capture is a logger's output.
type capture struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(b)
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

func (c *capture) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestLaunchAndStop(t *testing.T) {
	p := launch(t, spec("well", slog.New(slog.DiscardHandler)))
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.State() != "exit status 0" {
		t.Errorf("the plugin ended with %s, want exit status 0", p.State())
	}
}

// Stopping a plugin lets it finish; go-plugin would cut it off.
func TestStopLetsThePluginFinish(t *testing.T) {
	p := launch(t, spec("slow", slog.New(slog.DiscardHandler)))
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(p.Stderr(), "drained") {
		t.Errorf("the plugin did not finish; it wrote %q", p.Stderr())
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	p := launch(t, spec("stubborn", slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if p.State() != "signal: killed" {
		t.Errorf("the plugin ended with %s, want signal: killed", p.State())
	}
}

// Every launch uses a new configuration: go-plugin fails on one used before.
func TestLaunchAgainAndAgain(t *testing.T) {
	s := spec("well", slog.New(slog.DiscardHandler))
	for range 5 {
		p := launch(t, s)
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExitedAfterACrash(t *testing.T) {
	p := launch(t, spec("well", slog.New(slog.DiscardHandler)))
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	<-p.Lost()
	if err := p.Check(t.Context()); err == nil {
		t.Error("a dead plugin is reported as healthy")
	}
}

// A log line like {"@message": 42} panics go-plugin's host.
func TestOddLogLines(t *testing.T) {
	var log capture
	p := launch(t, spec("odd-logs", log.logger()))
	check.Eventually(t, "the last line is logged", func() bool { return strings.Contains(log.String(), "msg=plain") })
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=INFO msg="{\"@message\": 42}"`,
		`level=ERROR msg="from slog" g.k=v n=1`,
		`level=WARN msg="from hclog" k=v`,
		`level=ERROR msg="[ERROR] from a line"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s; its end is\n%s", want, log.String()[max(0, len(log.String())-2000):])
		}
	}
	if strings.ContainsAny(log.String(), "\x1b\x00") {
		t.Error("the log has control characters")
	}
}

// Noise on stdout breaks go-plugin's handshake before it, and blocks the
// plugin after it.
func TestNoiseOnStdout(t *testing.T) {
	var log capture
	p := launch(t, spec("noise", log.logger()))
	check.Eventually(t, "the plugin has written all", func() bool { return strings.Contains(log.String(), "level=WARN msg=\"all written\"") })
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"noise before 299", "noise after 299"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

// With go-plugin, a line of more than 64 KiB stalls the plugin that writes it.
func TestEndlessLines(t *testing.T) {
	var log capture
	p := launch(t, spec("endless", log.logger()))
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(log.String()); n > 8*maxLine {
		t.Errorf("%d bytes are logged of two lines; what exceeds %d bytes should be cut", n, maxLine)
	}
}

func TestEnvironmentIsNotInherited(t *testing.T) {
	t.Setenv("FAIRLEAD_TEST_SECRET", "s3cret")
	s := spec("well", slog.New(slog.DiscardHandler))
	s.Env = append(s.Env, "ALLOWED=yes")
	p := launch(t, s)
	r, err := pluginpb.NewPluginServiceClient(p.Conn()).Describe(t.Context(), &pluginpb.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	if err := json.Unmarshal([]byte(r.Description.Notes[0]), &env); err != nil {
		t.Fatal(err)
	}
	accepted := []string{
		roleEnv, "ALLOWED", SocketDirEnv, logLevelEnv, cookieKey,
		"PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT", "PLUGIN_UNIX_SOCKET_DIR",
	}
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains(accepted, name) {
			t.Errorf("the plugin got %s", v)
		}
	}
	if !slices.Contains(env, "ALLOWED=yes") {
		t.Errorf("the plugin's environment lacks variables; it is %q", env)
	}
}

// Sockets below a long TMPDIR cannot be made.
func TestLongTMPDIR(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	p := launch(t, spec("well", slog.New(slog.DiscardHandler)))
	info, err := os.Stat(p.dir.Path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket folder has mode %o, want 700", info.Mode().Perm())
	}
	s := spec("well", slog.New(slog.DiscardHandler))
	s.SocketDir = long
	if _, err := Launch(t.Context(), s); err == nil || !strings.Contains(err.Error(), "at most 60") {
		t.Errorf("a socket folder that is too long gives %v", err)
	}
}

// The files that a host and a plugin left when they were killed together are
// removed, and no others.
func TestStaleSocketFolders(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "fl-stale-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	folder := func(name string, age time.Duration, fill func(file string) error) string {
		dir := filepath.Join(base, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), fill(filepath.Join(dir, "f"))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	socket := func(file string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: file})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}
	stale := folder("fairlead.1", time.Hour, socket)
	kept := []string{
		folder("fairlead.2", time.Second, socket),
		folder("fairlead.3", time.Hour, func(file string) error { return os.WriteFile(file, nil, 0o600) }),
		folder("fairlead.x", time.Hour, socket),
		folder("fairlead.4", time.Hour, socket),
	}
	lock, err := lockDir(kept[3])
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()

	s := spec("well", slog.New(slog.DiscardHandler))
	s.SocketDir = base
	first := launch(t, s)
	if err := os.Chtimes(first.dir.Path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	launch(t, s)
	for _, dir := range append(kept, first.dir.Path) {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s is gone: %v", dir, err)
		}
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("the stale folder still exists: %v", err)
	}
}

func TestFailedLaunches(t *testing.T) {
	for _, c := range []struct{ role, want string }{
		{"dies", "it ended before it was ready (exit status 3); its last output:\n  no such library"},
		{"closes", "Unrecognized remote plugin message"},
		{"outside", "neither a socket in"},
		{"version 2", "it does not speak version 1 of the protocol"},
		{"silent", "it was not ready in time"},
		{"mute", "opening the Lifetime stream"},
	} {
		t.Run(c.role, func(t *testing.T) {
			s := spec(c.role, slog.New(slog.DiscardHandler))
			s.SocketDir = ownSocketDir(t)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := Launch(ctx, s)
			var failed *LaunchError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a LaunchError with %q", err, c.want)
			}
		})
	}
	t.Run("no such file", func(t *testing.T) {
		s := spec("well", slog.New(slog.DiscardHandler))
		s.Path += "-missing"
		if _, err := Launch(t.Context(), s); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want os.ErrNotExist", err)
		}
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Launch(ctx, spec("well", slog.New(slog.DiscardHandler))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// ownSocketDir returns a folder for socket folders that no other test uses. It
// must be empty at the end of the test.
func ownSocketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "fl-sockets-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("socket folders are left: %v", err)
		}
	})
	return dir
}

// go-plugin would not end the plugin, its socket and its children.
func TestHostIsKilled(t *testing.T) {
	for _, c := range []struct {
		role    string
		stopped bool
	}{{"well", false}, {"children", false}, {"children", true}, {"no stdin", false}, {"no lifetime", false}} {
		t.Run(c.role+" stopped "+strconv.FormatBool(c.stopped), func(t *testing.T) {
			host, plugin := startHost(t, c.role)
			if c.stopped {
				if err := syscall.Kill(plugin.pids[0], syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			if err := host.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = host.Wait()
			for _, pid := range plugin.pids {
				check.Eventually(t, "process "+strconv.Itoa(pid)+" is gone", func() bool { return !alive(pid) })
			}
			if _, err := os.Stat(plugin.dir); !os.IsNotExist(err) {
				t.Errorf("the socket folder is left: %v", err)
			}
		})
	}
}

// A plugin that does not watch its host, and is not even ready, ends with its
// host as well.
func TestHostIsKilledDuringLaunch(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "fl-launch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	plugin, pidFile := filepath.Join(dir, "plugin"), filepath.Join(dir, "pid")
	text := "#!/bin/sh\necho $$ > " + pidFile + ".new\nmv " + pidFile + ".new " + pidFile + "\nexec sleep 3600\n"
	if err := os.WriteFile(plugin, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), roleEnv+"=impatient", "PLUGIN_PATH="+plugin, "PLUGIN_SOCKETS="+dir)
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	check.Eventually(t, "the plugin has started", func() bool {
		b, err := os.ReadFile(pidFile)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	check.Eventually(t, "the plugin is gone", func() bool { return !alive(pid) })
}

type hosted struct {
	pids []int // of the plugin and its child
	dir  string
}

// startHost starts a host in a process of its own, which launches a plugin.
func startHost(t *testing.T, role string) (*exec.Cmd, hosted) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), roleEnv+"=host", "PLUGIN_ROLE="+role)
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(line)
	h := hosted{dir: fields[1]}
	t.Cleanup(func() { _ = os.RemoveAll(h.dir) })
	for _, f := range append(fields[:1:1], fields[2:]...) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		h.pids = append(h.pids, pid)
	}
	return host, h
}

// A plugin's own children end with it, even if it crashes. A child that holds the
// pipes open does not make the host wait.
func TestGrandchildren(t *testing.T) {
	p := launch(t, spec("children", slog.New(slog.DiscardHandler)))
	var sleeper int
	check.Eventually(t, "the plugin reports its child's id", func() bool {
		for _, l := range p.Stderr() {
			if pid, ok := strings.CutPrefix(l, "sleeper "); ok {
				sleeper, _ = strconv.Atoi(pid)
			}
		}
		return sleeper > 0
	})
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	check.Eventually(t, "the grandchild is gone", func() bool { return !alive(sleeper) })
}

// go-plugin's Ping has no deadline: a stopped plugin blocks it for ever.
func TestCheckHasADeadline(t *testing.T) {
	p := launch(t, spec("well", slog.New(slog.DiscardHandler)))
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The signal takes a moment to stop all threads.
	check.Eventually(t, "a stopped plugin is not reported as healthy", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return p.Check(ctx) != nil
	})
}
