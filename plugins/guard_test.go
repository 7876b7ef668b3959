package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/plugins"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// environ returns the environment that a process was started with.
func environ(t *testing.T, pid int) map[string]string {
	t.Helper()
	env := map[string]string{}
	for v := range strings.SplitSeq(string(must[[]byte](t)(os.ReadFile("/proc/"+strconv.Itoa(pid)+"/environ"))), "\x00") {
		if name, value, ok := strings.Cut(v, "="); ok {
			env[name] = value
		}
	}
	return env
}

// TestEnvironment shows that a plugin gets the common variables and the ones that
// its manifest names, and nothing else of the host's environment.
func TestEnvironment(t *testing.T) {
	dir := installed(t, "memory")
	m := must[[]plugins.Installed](t)(plugins.Find([]string{dir}))[0].Manifest
	m.Env = []string{"FAIRLEAD_TEST_NAMED", "FAIRLEAD_TEST_UNSET"}
	writeManifest(t, dir, m)
	given := map[string]string{"HOME": t.TempDir(), "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "FAIRLEAD_TEST_NAMED": "a=b c"}
	for name, value := range given {
		t.Setenv(name, value)
	}
	t.Setenv("FAIRLEAD_TEST_SECRET", "s3cret")
	if os.Getenv("PATH") == "" {
		t.Fatal("PATH is not set: the test would show nothing")
	}
	h := newHost(t, plugins.WithFolders(dir))
	open(t, h, "plugin+mem://")
	env := environ(t, h.Status()[0].PID)
	for name, want := range given {
		if got, ok := env[name]; !ok || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, ok, want)
		}
	}
	accepted := []string{
		"HOME", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "FAIRLEAD_TEST_NAMED",
		"FAIRLEAD_SOCKET_DIR", "FAIRLEAD_LOG_LEVEL", "FAIRLEAD_PLUGIN",
	}
	for name := range env {
		if !slices.Contains(accepted, name) && !strings.HasPrefix(name, "PLUGIN_") {
			t.Errorf("the plugin got %s", name)
		}
	}
}

// TestLogLevelCrosses shows that a plugin learns its host's log level.
func TestLogLevelCrosses(t *testing.T) {
	dir := installed(t, "memory")
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level}))
		h := newHost(t, plugins.WithFolders(dir), plugins.WithLogger(log))
		open(t, h, "plugin+mem://")
		if got := environ(t, h.Status()[0].PID)["FAIRLEAD_LOG_LEVEL"]; got != level.String() {
			t.Errorf("FAIRLEAD_LOG_LEVEL is %q, want %q", got, level)
		}
	}
}

// TestLogLevelIsHeeded shows that a plugin logs at the level FAIRLEAD_LOG_LEVEL.
func TestLogLevelIsHeeded(t *testing.T) {
	for level, want := range map[string]bool{"": true, "INFO": true, "warn": false, "ERROR": false} {
		path := socketPath(t)
		s := startSidecar(t, "memory", []string{"FAIRLEAD_LOG_LEVEL=" + level}, "--listen", "unix://"+path, "--url", "mem://")
		exercise(t, store(t, openURL(t, "sidecar+unix://"+path)))
		s.signal(t, syscall.SIGTERM)
		if got := strings.Contains(s.output.String(), "the plugin listens"); got != want {
			t.Errorf("with the level %q the plugin logs at INFO: %v, want %v", level, got, want)
		}
	}
}

// beStranger connects to a socket and prints the result.
func beStranger(socket string) {
	fmt.Print(attach(socket))
	os.Exit(0)
}

// attach asks for a session that does not exist: a client that is let in gets an
// answer.
func attach(socket string) string {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	request := &pluginpb.ExchangeRequest{Attach: &pluginpb.Attach{Session: 1 << 60}}
	b, err := request.MarshalVT()
	if err != nil {
		return err.Error()
	}
	// A refused client may fail to send: only the result of reading counts.
	_, _ = conn.Write(append([]byte{0, 0, 0, byte(len(b))}, b...))
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	switch n, err := conn.Read(make([]byte, 1)); {
	case n > 0:
		return "answered"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "let in"
	default:
		return "refused"
	}
}

// attachAs runs attach in a process of its own, as another user.
func attachAs(t *testing.T, program, socket string, user uint32) string {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = []string{strangerEnv + "=" + socket}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestStrangersAreRefused shows that another user cannot reach a plugin's
// sockets: neither the folder nor the socket's mode permits it, and even if both
// did, a frame socket checks the user of its peer.
func TestStrangersAreRefused(t *testing.T) {
	t.Run("launched", func(t *testing.T) {
		var log lockedBuffer
		h := newHost(t, plugins.WithFolders(installed(t, "memory")), plugins.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		p := open(t, h, "plugin+mem://")
		dir := environ(t, h.Status()[0].PID)["FAIRLEAD_SOCKET_DIR"]
		wantMode(t, dir, 0o700)
		frames := must[[]string](t)(filepath.Glob(filepath.Join(dir, "frames-*")))
		if len(frames) != 1 {
			t.Fatalf("the frame sockets are %q, want one", frames)
		}
		refuses(t, frames[0], log.String)
		exercise(t, store(t, p))
	})
	t.Run("sidecar", func(t *testing.T) {
		path := socketPath(t)
		s := startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://")
		p := openURL(t, "sidecar+unix://"+path)
		wantMode(t, path, 0o600)
		refuses(t, path+".frames", s.output.String)
		refuses(t, path, s.output.String)
		exercise(t, store(t, p))
	})
}

// TestStrangersSidecar shows that a host sends nothing to a socket on which another
// user listens, and says so at once.
func TestStrangersSidecar(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can act as another user
	}
	const nobody = 65534
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(path), "program")
	if err := os.WriteFile(program, must[[]byte](t)(os.ReadFile(binary(t, "memory"))), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--listen", "unix://"+path)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	check.Eventually(t, "the sidecar listens", func() bool { _, err := os.Stat(path); return err == nil })
	t.Setenv(plugins.ReattachEnv, `{"memory":"unix://`+path+`"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a host that goes on waiting
	defer cancel()
	for name, open := range map[string]func() (fairlead.Provider, error){
		"a sidecar": func() (fairlead.Provider, error) { return fairlead.Open(ctx, "sidecar+unix://"+path) },
		"reattached": func() (fairlead.Provider, error) {
			return newHost(t, plugins.WithFolders(installed(t, "memory"))).Open(ctx, "plugin+mem://")
		},
	} {
		if _, err := open(); !errors.Is(err, fairlead.PermissionDenied) || !strings.Contains(err.Error(), "runs as user 65534") {
			t.Errorf("%s: got %v, want PermissionDenied with the user", name, err)
		}
	}
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	if got := must[os.FileInfo](t)(os.Stat(path)).Mode().Perm(); got != want {
		t.Errorf("%s has the mode %o, want %o", path, got, want)
	}
}

// refuses tries a frame socket with its own permissions, and then with
// permissions for everybody.
func refuses(t *testing.T, socket string, log func() string) {
	t.Helper()
	wantMode(t, socket, 0o600)
	if got := attach(socket); got != "answered" {
		t.Errorf("its own user is %s", got)
	}
	if os.Geteuid() != 0 {
		return // only root can act as another user
	}
	const nobody = 65534
	program := enterable(t, socket)
	if got := attachAs(t, program, socket, nobody); !strings.Contains(got, "permission denied") {
		t.Errorf("with the socket's mode, another user is %s", got)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := attachAs(t, program, socket, 0); got != "answered" {
		t.Errorf("its own user in another process is %s", got)
	}
	if got := attachAs(t, program, socket, nobody); got != "refused" {
		t.Errorf("another user is %s", got)
	}
	check.Eventually(t, "the refusal is logged", func() bool { return strings.Contains(log(), "runs as user 65534") })
}

// enterable opens the folder of a socket to every user, and returns a copy of
// this program that every user may start.
func enterable(t *testing.T, socket string) string {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("/tmp", "fl-stranger-"))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "program")
	self := must[[]byte](t)(os.ReadFile(must[string](t)(os.Executable())))
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(socket), filepath.Dir(filepath.Dir(socket))} {
		if d == "/tmp" {
			continue
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return program
}

// TestRelativeFolders shows that plugin folders may be given by any path, and
// that links out of them are still refused.
func TestRelativeFolders(t *testing.T) {
	built := binary(t, "memory")
	for _, folder := range []string{".", "plugins", "./plugins/", "../plugins"} {
		t.Run(folder, func(t *testing.T) {
			here := filepath.Join(t.TempDir(), "here")
			if err := os.Mkdir(here, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Chdir(here)
			p := must[plugins.Installed](t)(plugins.Install(t.Context(), built, folder))
			if err := p.Verify(); err != nil || !filepath.IsAbs(p.Dir) || !filepath.IsAbs(p.Path) {
				t.Errorf("installed %q in %q: %v", p.Path, p.Dir, err)
			}
			exercise(t, store(t, open(t, newHost(t, plugins.WithFolders(folder)), "plugin+mem://")))
			t.Setenv(plugins.PathEnv, folder)
			exercise(t, store(t, open(t, newHost(t), "plugin+mem://")))

			outside := filepath.Join(t.TempDir(), "elsewhere")
			if err := errors.Join(os.Rename(p.Path, outside), os.Symlink(outside, p.Path)); err != nil {
				t.Fatal(err)
			}
			_, err := newHost(t, plugins.WithFolders(folder)).Open(t.Context(), "plugin+mem://")
			if !errors.Is(err, fairlead.PermissionDenied) || !strings.Contains(err.Error(), "outside the plugin folder") {
				t.Errorf("a link to outside: got %v, want PermissionDenied", err)
			}
		})
	}
}

// TestLoopbackWithALongTMPDIR shows that the sockets of a loopback are not below
// TMPDIR, which may be too long for the path of a socket.
func TestLoopbackWithALongTMPDIR(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 150))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	t.Setenv("XDG_RUNTIME_DIR", long)
	p := must[fairlead.Provider](t)(plugins.Loopback(t.Context(), openURL(t, "mem://"), plugins.Frames))
	exercise(t, store(t, p))
	closes(t, p)
	if left := must[[]os.DirEntry](t)(os.ReadDir(long)); len(left) > 0 {
		t.Errorf("%v is left in TMPDIR", left)
	}
}
