package plugins_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

// These variables make the test binary act as another program.
const (
	hostEnv     = "FAIRLEAD_TEST_HOST"     // a host: the URL that it opens
	holdEnv     = "FAIRLEAD_TEST_HOLD"     // a topic of which that host keeps a message
	strangerEnv = "FAIRLEAD_TEST_STRANGER" // a stranger: the socket that it connects to
)

func TestMain(m *testing.M) {
	if url := os.Getenv(hostEnv); url != "" {
		beHost(url, os.Getenv(holdEnv))
	}
	if socket := os.Getenv(strangerEnv); socket != "" {
		beStranger(socket)
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if code == 0 {
		// gocloud.dev leaks this goroutine if messages arrive just as a
		// subscription is shut down.
		if err := goleak.Find(goleak.IgnoreTopFunction("gocloud.dev/pubsub.(*Subscription).Receive.func2")); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// beHost opens a URL, receives a message of the topic if one is given, prints
// the plugin's process id, and waits to be killed.
func beHost(url, topic string) {
	pid, err := openAndHold(context.Background(), url, topic)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pid)
	select {}
}

// openAndHold returns the plugin's process id, or 0 for a sidecar, which this
// process has not started.
func openAndHold(ctx context.Context, url, topic string) (pid int, err error) {
	h, err := plugins.NewHost()
	if err != nil {
		return 0, err
	}
	open := h.Open
	if strings.HasPrefix(url, "sidecar+") {
		open = fairlead.Open
	}
	p, err := open(ctx, url)
	if err == nil && topic != "" {
		err = hold(ctx, p, topic)
	}
	for _, s := range h.Status() {
		pid = s.PID
	}
	return pid, err
}

// hold receives a message of the group "g", and then another one, and settles
// neither.
func hold(ctx context.Context, p fairlead.Provider, topic string) error {
	s, err := pubsub.Subscribe(ctx, p, topic, pubsub.Group("g"), pubsub.FromStart(), pubsub.AckDeadline(10*time.Minute))
	if err != nil {
		return err
	}
	_, err = s.Receive(ctx)
	go s.Receive(ctx)
	return err
}

// hosting is a host that runs in a process of its own.
type hosting struct {
	cmd    *exec.Cmd
	plugin int // process id; 0 for a sidecar
}

// startHost starts a host that opens a URL and, if a topic is given, holds a
// message of it. It returns when the host has done both.
func startHost(t *testing.T, url, topic, folder string) *hosting {
	t.Helper()
	self := must[string](t)(os.Executable())
	h := &hosting{cmd: exec.Command(self)}
	h.cmd.Env = append(os.Environ(), hostEnv+"="+url, holdEnv+"="+topic, plugins.PathEnv+"="+folder)
	h.cmd.Stderr = os.Stderr
	out := must[io.ReadCloser](t)(h.cmd.StdoutPipe())
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	line := must[string](t)(bufio.NewReader(out).ReadString('\n'))
	h.plugin = must[int](t)(strconv.Atoi(strings.TrimSpace(line)))
	return h
}

// kill kills the host without warning, and returns when it is gone.
func (h *hosting) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// built holds the plugins' binaries, which are built once for all tests.
var built struct {
	sync.Once
	dir string
	err error
}

// binary returns the path of a plugin's binary.
func binary(t testing.TB, name string) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "fairlead-plugins-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", built.dir, "fairlead.dev/cmd/fairlead-memory", "fairlead.dev/cmd/fairlead-redis",
			"fairlead.dev/cmd/fairlead-etcd", "fairlead.dev/cmd/fairlead-nats", "fairlead.dev/cmd/fairlead-dapr")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "fairlead-"+name)
}

// installed returns a plugin folder with the plugins of these names.
func installed(t testing.TB, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "plugins")
	for _, n := range names {
		if _, err := plugins.Install(t.Context(), binary(t, n), dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// newHost returns a host that is closed at the end of the test. Its plugins,
// sockets and processes must be gone then.
func newHost(t testing.TB, opts ...plugins.Option) *plugins.Host {
	t.Helper()
	sockets, err := os.MkdirTemp("/tmp", "fl-test-")
	if err != nil {
		t.Fatal(err)
	}
	h, err := plugins.NewHost(append([]plugins.Option{
		plugins.WithSocketDir(sockets), plugins.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("closing the host: %v", err)
		}
		for _, s := range h.Status() {
			if s.State != plugins.Stopped || s.PID != 0 {
				t.Errorf("after Close the plugin %s is %s, process %d", s.Name, s.State, s.PID)
			}
		}
		if err := os.Remove(sockets); err != nil {
			t.Errorf("sockets are left: %v", err)
		}
	})
	return h
}

// alive reports whether a process exists and is not a zombie.
func alive(pid int) bool {
	s := state(pid)
	return s != "" && s != "Z" && s != "X"
}

// state returns the letter for the state of a process, or "" if the process does
// not exist.
func state(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	return strings.Fields(string(b[strings.LastIndex(string(b), ")")+1:]))[0]
}
