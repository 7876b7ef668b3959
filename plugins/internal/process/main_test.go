package process

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// The test binary also acts as the plugin: this variable selects its behaviour.
const roleEnv = "FAIRLEAD_TEST_ROLE"

var roles = map[string]func(){
	"well":      func() { servePlugin(nil) },
	"host":      runHost,
	"impatient": runImpatientHost,
	"noise":     noise,
	"endless":   endlessLine,
	"odd-logs":  oddLogs,
	"dies":      func() { fmt.Fprintln(os.Stderr, "no such library"); os.Exit(3) },
	"silent":    func() { select {} },
	"closes":    func() { os.Stdout.Close(); select {} },
	"outside":   func() { fmt.Println("1|1|unix|/tmp/elsewhere.sock|grpc|"); select {} },
	"version 2": func() { fmt.Println("1|2|unix|" + os.Getenv(SocketDirEnv) + "/x|grpc|"); select {} },
	"mute":      func() { fmt.Println("1|1|unix|" + os.Getenv(SocketDirEnv) + "/x|grpc|"); select {} },
	"children":  func() { startSleeper(); servePlugin(nil) },
	"stubborn":  func() { startSleeper(); servePlugin(func() { select {} }) },
	// Each of these has only one of the two ways to notice that the host is gone.
	"no stdin": func() {
		os.Stdin, _ = os.Open(os.DevNull)
		servePlugin(nil)
	},
	"no lifetime": func() {
		ctx, end := context.WithCancel(context.Background())
		Serve(ctx, func(r grpc.ServiceRegistrar) {
			pluginpb.RegisterPluginServiceServer(r, lifetime{lost: func() {}})
		}, end)
	},
	"slow": func() { servePlugin(func() { time.Sleep(300 * time.Millisecond); fmt.Fprintln(os.Stderr, "drained") }) },
}

func TestMain(m *testing.M) {
	if role, ok := os.LookupEnv(roleEnv); ok {
		roles[role]()
		return
	}
	goleak.VerifyTestMain(m)
}

// lifetime is the smallest service that a plugin needs.
type lifetime struct {
	pluginpb.UnimplementedPluginServiceServer
	attached func() // called when the host has attached; may be nil
	lost     func()
}

// Lifetime implements pluginpb.PluginServiceServer.
func (l lifetime) Lifetime(s pluginpb.PluginService_LifetimeServer) error {
	defer l.lost()
	if l.attached != nil {
		l.attached()
	}
	if err := s.Send(&pluginpb.LifetimeResponse{}); err != nil {
		return err
	}
	for {
		if _, err := s.Recv(); err != nil {
			return nil
		}
	}
}

// Describe returns the process's environment in its notes.
func (l lifetime) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	var notes []string
	if b, err := json.Marshal(os.Environ()); err == nil {
		notes = append(notes, string(b))
	}
	return &pluginpb.DescribeResponse{Description: &pluginpb.Description{Notes: notes}}, nil
}

func servePlugin(drain func()) { serveAttached(nil, drain) }

// serveAttached serves a plugin. It calls attached when the host has attached, and
// drain when the host has gone.
func serveAttached(attached, drain func()) {
	ctx, end := context.WithCancel(context.Background())
	lost := func() {
		if drain != nil {
			drain()
		}
		end()
	}
	Serve(ctx, func(r grpc.ServiceRegistrar) {
		pluginpb.RegisterPluginServiceServer(r, lifetime{attached: attached, lost: lost})
	}, lost)
}

func noise() {
	for i := range 300 {
		fmt.Println("noise before", i, strings.Repeat("x", 300))
	}
	fmt.Println("a|b|c")
	original := os.NewFile(1, "stdout")
	serveAttached(func() {
		for i := range 300 {
			fmt.Fprintln(original, "noise after", i, strings.Repeat("y", 300))
		}
		fmt.Fprintln(original, strings.Repeat("z", 1<<20))
		for range 1000 {
			fmt.Println(strings.Repeat("w", 200))
		}
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Warn("all written")
	}, nil)
}

func endlessLine() {
	fmt.Print(strings.Repeat("x", 10<<20))
	os.Stderr.WriteString(strings.Repeat("y", 10<<20))
	fmt.Println()
	servePlugin(nil)
}

// oddLines are unusual lines on stderr.
var oddLines = []string{
	`{"@message": 42}`,
	`{"@level": 7, "@message": "m"}`,
	`{"@timestamp": {}, "@message": "m", "@level": "info"}`,
	`{"msg": null, "level": "INFO"}`,
	`{"deep":` + strings.Repeat("[", 20000),
	"\xff\xfe\x00 \x1b[31mred",
	`{}`, `null`, `[]`, ``, `{`,
}

func oddLogs() {
	for _, l := range oddLines {
		fmt.Fprintln(os.Stderr, l)
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("from slog", "n", 1, slog.Group("g", "k", "v"))
	fmt.Fprintln(os.Stderr, `{"@level":"warn","@message":"from hclog","@timestamp":"2026-01-02T15:04:05.000000Z","k":"v"}`)
	fmt.Fprintln(os.Stderr, "[ERROR] from a line")
	fmt.Fprintln(os.Stderr, "plain")
	servePlugin(nil)
}

// startSleeper starts a child of the plugin: a grandchild of the host.
func startSleeper() {
	c := exec.Command("/bin/sleep", "3600")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "sleeper", c.Process.Pid)
}

// runImpatientHost launches a plugin that will never be ready.
func runImpatientHost() {
	_, err := Launch(context.Background(), Spec{Name: "test", Path: os.Getenv("PLUGIN_PATH"), SocketDir: os.Getenv("PLUGIN_SOCKETS"), Log: slog.New(slog.DiscardHandler)})
	panic(err)
}

// runHost launches a plugin, prints its process id, its socket folder and its
// child's process id, if any, and waits to be killed.
func runHost() {
	p, err := Launch(context.Background(), spec(os.Getenv("PLUGIN_ROLE"), slog.New(slog.DiscardHandler)))
	if err != nil {
		panic(err)
	}
	sleeper := ""
	for _, l := range p.Stderr() {
		sleeper += strings.TrimPrefix(l, "sleeper ")
	}
	fmt.Println(p.PID(), p.dir.Path, sleeper)
	select {}
}

func spec(role string, log *slog.Logger) Spec {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Spec{Name: "test", Path: self, Env: []string{roleEnv + "=" + role}, Log: log}
}

// launch launches a plugin for a test and ends it with the test.
func launch(t *testing.T, s Spec) *Process {
	t.Helper()
	p, err := Launch(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(p.dir.Path); !os.IsNotExist(err) {
			t.Errorf("the socket folder is still there: %v", err)
		}
	})
	return p
}

// alive reports whether a process exists and is not a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(b[strings.LastIndex(string(b), ")")+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}
