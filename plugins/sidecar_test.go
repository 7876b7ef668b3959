package plugins_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/plugins"
)

// sidecar is a plugin that a test has started as a sidecar.
type sidecar struct {
	cmd    *exec.Cmd
	output lockedBuffer
	ended  chan struct{}
}

// lockedBuffer is a buffer that may be written while it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// startSidecar starts a plugin with arguments; it ends with the test.
func startSidecar(t testing.TB, name string, env []string, args ...string) *sidecar {
	t.Helper()
	s := &sidecar{cmd: exec.Command(binary(t, name), args...), ended: make(chan struct{})}
	s.cmd.Env = env
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // ProcessState has the result
	}()
	t.Cleanup(func() { s.signal(t, syscall.SIGKILL) })
	return s
}

// signal sends a signal to the process and, if the signal ends it, waits until it
// has ended.
func (s *sidecar) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		t.Errorf("the sidecar has not ended after %v; it wrote\n%s", sig, s.output.String())
	}
}

// socketPath returns a short path for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "fl-side-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s.sock")
}

// openURL opens a URL as programs do, and closes it at the end of the test.
func openURL(t testing.TB, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url, fairlead.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// The sidecar may start before or after the host, may be killed and started
// again, and serves many hosts.
func TestSidecar(t *testing.T) {
	for _, over := range []plugins.Transport{plugins.Frames, plugins.Stream} {
		t.Run(string(over), func(t *testing.T) {
			path := socketPath(t)
			url := "sidecar+unix://" + path + "?transport=" + string(over)
			opened := make(chan error, 1)
			var early fairlead.Provider
			go func() {
				var err error
				early, err = fairlead.Open(t.Context(), url, fairlead.WithLogger(slog.New(slog.DiscardHandler)))
				opened <- err
			}()
			first := startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://one")
			if err := <-opened; err != nil {
				t.Fatalf("opening before the sidecar listens: %v", err)
			}
			t.Cleanup(func() { _ = early.Close(context.Background()) })
			exercise(t, store(t, early))
			late := openURL(t, url)
			if e, err := store(t, late).Get(t.Context(), "ann"); err != nil || string(e.Value) != "1" {
				t.Errorf("the second host got %q, %v", e.Value, err)
			}

			first.signal(t, syscall.SIGKILL)
			second := startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://one")
			works(t, early)
			works(t, late)

			second.signal(t, syscall.SIGTERM)
			if code := second.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("after SIGTERM the exit code is %d, want 0; it wrote\n%s", code, second.output.String())
			}
			if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
				t.Errorf("sockets are left: %q", left)
			}
		})
	}
}

func TestSidecarIsNotThere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := fairlead.Open(ctx, "sidecar+unix://"+socketPath(t)); !errors.Is(err, fairlead.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

// What another attempt cannot mend is reported at once: the context has no end.
func TestSidecarThatCannotBeThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/" + strings.Repeat("x", 200): "at most 107 are possible",
		"/a%00b":                       "absolute path",
		file:                           "is not a socket",
		file + "/s":                    "not a directory",
	} {
		_, err := fairlead.Open(t.Context(), "sidecar+unix://"+path)
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want Invalid with %q", path, err, want)
		}
	}
}

// A client that sends a URL of its own over TCP gets nothing of what the sidecar
// can read: neither its environment nor its files.
func TestSidecarOverTCPServesItsOwnURL(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisPassword("s3cret"))
	addr := fmt.Sprint("127.0.0.1:", testbed.Port(t))
	startSidecar(t, "redis", []string{"CANARY=s3cret"}, "--listen", "tcp://"+addr, "--url", server.URLFor("default", "s3cret"))
	exercise(t, store(t, openURL(t, "sidecar+tcp://"+addr)))
	t.Setenv(plugins.ReattachEnv, `{"redis":"tcp://`+addr+`"}`)
	h := newHost(t, plugins.WithFolders(installed(t, "redis")))
	for _, setting := range []string{"password-env=CANARY", "password-file=/etc/hostname", "ca-file=/etc/hostname"} {
		_, err := h.Open(t.Context(), "plugin+redis://"+server.Addr()+"?"+setting)
		if !errors.Is(err, fairlead.PermissionDenied) && !errors.Is(err, fairlead.Invalid) {
			t.Errorf("%s: got %v, want PermissionDenied", setting, err)
		}
	}
}

// A host never names a variable of a plugin's environment: it sends the values.
func TestVariablesAreTheHosts(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisPassword("s3cret"))
	path := socketPath(t)
	startSidecar(t, "redis", []string{"CANARY=s3cret"}, "--listen", "unix://"+path)
	t.Setenv(plugins.ReattachEnv, `{"redis":"unix://`+path+`"}`)
	h := newHost(t, plugins.WithFolders(installed(t, "redis")))
	url := "plugin+redis://" + server.Addr() + "?password-env=CANARY"
	if _, err := h.Open(t.Context(), url); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "password-env") {
		t.Errorf("without the variable: got %v, want Invalid, \"password-env\"", err)
	}
	t.Setenv("CANARY", "s3cret")
	exercise(t, store(t, open(t, h, url)))
}

// A host works without a frame socket if it cannot reach the socket.
func TestSidecarWithoutItsFrameSocket(t *testing.T) {
	path := socketPath(t)
	startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://")
	check.Eventually(t, "the frame socket exists", func() bool { _, err := os.Stat(path + ".frames"); return err == nil })
	if err := os.Remove(path + ".frames"); err != nil {
		t.Fatal(err)
	}
	exercise(t, store(t, openURL(t, "sidecar+unix://"+path)))
}

// The secret of a sidecar's URL comes from a file or the environment.
func TestSidecarOfRedis(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisPassword("s3cret"))
	path := socketPath(t)
	backend := server.URLFor("default", "s3cret")
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(backend+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startSidecar(t, "redis", nil, "--listen", "unix://"+path, "--url-file", file)
	exercise(t, store(t, openURL(t, "sidecar+unix://"+path)))
	s.signal(t, syscall.SIGTERM)
	startSidecar(t, "redis", []string{"FAIRLEAD_URL=" + backend}, "--listen", "unix://"+path)
	exercise(t, store(t, openURL(t, "sidecar+unix://"+path)))
	if strings.Contains(s.output.String(), "s3cret") {
		t.Errorf("the sidecar's output contains the secret:\n%s", s.output.String())
	}
}

// Two processes cannot share one socket; a file that is not a socket is kept.
func TestSidecarSocketIsTaken(t *testing.T) {
	path := socketPath(t)
	startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://")
	p := openURL(t, "sidecar+unix://"+path)
	second := startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://")
	<-second.ended
	if !strings.Contains(second.output.String(), "another process is listening on "+path) || second.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the second one: %s, %s", second.cmd.ProcessState, second.output.String())
	}
	works(t, p)
	file := path + "-file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	third := startSidecar(t, "memory", nil, "--listen", "unix://"+file, "--url", "mem://")
	<-third.ended
	if !strings.Contains(third.output.String(), "is not a socket") {
		t.Errorf("the third one: %s", third.output.String())
	}
}

func TestCheck(t *testing.T) {
	path := socketPath(t)
	runCheck := func() error { return exec.Command(binary(t, "memory"), "--check", "unix://"+path).Run() }
	if err := runCheck(); err == nil {
		t.Error("a sidecar that does not run is reported as healthy")
	}
	s := startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://")
	check.Eventually(t, "the sidecar is healthy", func() bool { return runCheck() == nil })
	s.signal(t, syscall.SIGTERM)
	if err := runCheck(); err == nil {
		t.Error("a sidecar that has ended is reported as healthy")
	}
}

func TestSidecarOverTCP(t *testing.T) {
	addr := fmt.Sprint("127.0.0.1:", testbed.Port(t))
	startSidecar(t, "memory", nil, "--listen", "tcp://"+addr, "--url", "mem://")
	exercise(t, store(t, openURL(t, "sidecar+tcp://"+addr)))
}

func TestSidecarWithTLS(t *testing.T) {
	certs, err := testbed.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	others, err := testbed.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprint("127.0.0.1:", testbed.Port(t))
	startSidecar(t, "memory", nil, "--listen", "tcp://"+addr, "--url", "mem://",
		"--tls-cert", certs.ServerCert, "--tls-key", certs.ServerKey, "--tls-client-ca", certs.CA)
	with := func(ca, cert, key string) string {
		return "sidecar+tcp://" + addr + "?" + url.Values{"ca-file": {ca}, "cert-file": {cert}, "key-file": {key}}.Encode()
	}
	good := with(certs.CA, certs.ClientCert, certs.ClientKey)
	exercise(t, store(t, openURL(t, good)))
	exercise(t, store(t, openURL(t, good+"&server-name=localhost")))
	for _, c := range []struct{ url, want string }{
		{"sidecar+tcp://" + addr, "waiting for the plugin at " + addr},
		{with(certs.CA, others.ClientCert, others.ClientKey), "waiting for the plugin at " + addr},
		{with(others.CA, certs.ClientCert, certs.ClientKey), "certificate signed by unknown authority"},
		{good + "&server-name=example.com", "not example.com"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := fairlead.Open(ctx, c.url)
		cancel()
		if !errors.Is(err, fairlead.DeadlineExceeded) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want DeadlineExceeded with %q", c.url, err, c.want)
		}
	}
}

func TestSidecarURLs(t *testing.T) {
	certs, err := testbed.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"sidecar+unix://relative/path":                                              "absolute path",
		"sidecar+unix:///":                                                          "absolute path",
		"sidecar+unix:///s?transport=pigeon":                                        "accepted: frames, stream",
		"sidecar+tcp://example.com":                                                 "a host and a port",
		"sidecar+tcp://example.com:1":                                               `"cert-file" and "key-file" are missing`,
		"sidecar+tcp://example.com:1?ca-file=" + certs.CA:                           `"cert-file" and "key-file" are missing`,
		"sidecar+tcp://example.com:1?cert-file=" + certs.ClientCert:                 "must be given together",
		"sidecar+tcp://a:1?cert-file=" + certs.CA + "&key-file=" + certs.ServerCert: `"cert-file" and "key-file"`,
	} {
		if _, err := fairlead.Open(t.Context(), url); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want Invalid with %q", url, err, want)
		}
	}
}

// A host uses a plugin that a developer runs in a debugger, and does not end it.
func TestReattach(t *testing.T) {
	path := socketPath(t)
	s := startSidecar(t, "memory", nil, "--listen", "unix://"+path)
	dir := installed(t, "memory")
	if err := os.Remove(filepath.Join(dir, "fairlead-memory")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(plugins.ReattachEnv, `{"memory":"unix://`+path+`"}`)
	h := newHost(t, plugins.WithFolders(dir))
	exercise(t, store(t, open(t, h, "plugin+mem://a")))
	if len(h.Status()) > 0 {
		t.Errorf("the host supervises %+v", h.Status())
	}
	_ = h.Close(t.Context())
	works(t, openReattached(t, dir))
	select {
	case <-s.ended:
		t.Error("the plugin has ended with the host")
	default:
	}
	for value, want := range map[string]string{
		"redis":                            "not a JSON object",
		`{"memory":"tcp://example.com:1"}`: "accepted: unix:///path, tcp://127.0.0.1:port",
		`{"memory":"unix://x"}`:            "absolute path",
	} {
		t.Setenv(plugins.ReattachEnv, value)
		if _, err := newHost(t, plugins.WithFolders(dir)).Open(t.Context(), "plugin+mem://"); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want Invalid with %q", value, err, want)
		}
	}
}

func openReattached(t *testing.T, dir string) fairlead.Provider {
	t.Helper()
	return open(t, newHost(t, plugins.WithFolders(dir)), "plugin+mem://b")
}

// Wrong arguments lead to the exit code 2 and to a message that says what is
// wrong.
func TestArguments(t *testing.T) {
	certs, err := testbed.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tlsArgs := []string{"--tls-cert", certs.ServerCert, "--tls-key", certs.ServerKey, "--tls-client-ca", certs.CA}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{nil, "start it with --listen", 2},
		{[]string{"--unknown"}, "see --help", 2},
		{[]string{"word"}, `unexpected argument "word"`, 2},
		{[]string{"--help"}, "sidecar+unix:///path", 0},
		{[]string{"--version"}, "protocol 1", 0},
		{[]string{"--manifest"}, `"command": "fairlead-memory"`, 0},
		{[]string{"--listen", "/path"}, "accepted: unix:///path, tcp://host:port", 2},
		{[]string{"--listen", "unix://path"}, "absolute path", 2},
		{[]string{"--listen", "tcp://127.0.0.1"}, "a host and a port", 2},
		{[]string{"--listen", "tcp://127.0.0.1:1"}, "the backend's URL is missing", 2},
		{[]string{"--listen", "tcp://0.0.0.0:1", "--url", "mem://"}, "--tls-cert, --tls-key and --tls-client-ca", 2},
		{append([]string{"--listen", "tcp://0.0.0.0:1"}, tlsArgs...), "the backend's URL is missing", 2},
		{append([]string{"--listen", "tcp://0.0.0.0:1"}, tlsArgs[:4]...), "given together", 2},
		{append([]string{"--listen", "unix:///tmp/x"}, tlsArgs...), "require a tcp:// address", 2},
		{[]string{"--listen", "unix:///tmp/x", "--url", "redis://x"}, "offered: mem", 2},
		{[]string{"--listen", "unix:///tmp/x", "--url", "mem://?a=b"}, `unknown setting "a"`, 2},
		{[]string{"--listen", "unix:///tmp/x", "--url", "mem://", "--url-file", empty}, "exclude each other", 2},
		{[]string{"--listen", "unix:///tmp/x", "--url-file", empty}, "is empty", 2},
		{[]string{"--listen", "unix:///tmp/x", "--url-file", pipe}, "not a regular file but a named pipe", 2},
		{[]string{"--listen", "tcp://127.0.0.1:1", "--url", "mem://", "--tls-cert", pipe, "--tls-key", empty, "--tls-client-ca", empty}, "not a regular file but a named pipe", 2},
		{append([]string{"--listen", "tcp://127.0.0.1:1", "--url", "mem://", "--tls-client-ca", pipe}, tlsArgs[:4]...), "not a regular file but a named pipe", 2},
		{[]string{"--check", "nonsense"}, "accepted: unix:///path", 1},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a sidecar that starts
		cmd := exec.CommandContext(ctx, binary(t, "memory"), c.args...)
		cmd.Env = []string{}
		out, _ := cmd.CombinedOutput()
		cancel()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%q: exit code %d, output %q; want %d and %q", c.args, code, out, c.code, c.want)
		}
	}
}

// A sidecar opens only the URL that it was started for.
func TestSidecarServesOneBackend(t *testing.T) {
	path := socketPath(t)
	startSidecar(t, "memory", nil, "--listen", "unix://"+path, "--url", "mem://one")
	t.Setenv(plugins.ReattachEnv, `{"memory":"unix://`+path+`"}`)
	h := newHost(t, plugins.WithFolders(installed(t, "memory")))
	if _, err := h.Open(t.Context(), "plugin+mem://two"); !errors.Is(err, fairlead.PermissionDenied) {
		t.Errorf("got %v, want PermissionDenied", err)
	}
	without := socketPath(t)
	startSidecar(t, "memory", nil, "--listen", "unix://"+without)
	if _, err := fairlead.Open(t.Context(), "sidecar+unix://"+without); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "--url-file") {
		t.Errorf("got %v, want Invalid", err)
	}
}
