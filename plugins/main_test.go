package plugins_test

import (
	"context"
	"fmt"
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

	"fairlead.dev/plugins"
)

// hostEnv makes the test binary a host: the URL that it opens.
const hostEnv = "FAIRLEAD_TEST_HOST"

func TestMain(m *testing.M) {
	if url := os.Getenv(hostEnv); url != "" {
		beHost(url)
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if code == 0 {
		// gocloud.dev leaves this one behind if messages arrive just as a
		// subscription is shut down.
		if err := goleak.Find(goleak.IgnoreTopFunction("gocloud.dev/pubsub.(*Subscription).Receive.func2")); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// beHost opens a URL, prints the plugin's process id, and waits to be killed.
func beHost(url string) {
	h, err := plugins.NewHost()
	if err == nil {
		_, err = h.Open(context.Background(), url)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(h.Status()[0].PID)
	select {}
}

// built are the plugins' binaries, built once for all tests.
var built struct {
	sync.Once
	dir string
	err error
}

// binary is the path of a plugin's binary.
func binary(t testing.TB, name string) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "fairlead-plugins-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", built.dir, "fairlead.dev/plugins/fairlead-memory", "fairlead.dev/plugins/fairlead-redis",
			"fairlead.dev/plugins/fairlead-etcd", "fairlead.dev/plugins/fairlead-nats", "fairlead.dev/plugins/fairlead-dapr")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "fairlead-"+name)
}

// installed is a plugin folder with the plugins of these names.
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

// newHost is a host whose plugins, sockets and processes have to be gone when
// it is closed at the end of the test.
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

// eventually polls until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(b[strings.LastIndex(string(b), ")")+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}
