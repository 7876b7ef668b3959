package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/examples/greeter/greeterpb"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc"
)

// asProgram is the environment variable that makes the test binary run as the
// program.
const asProgram = "GREETER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// newProgram returns the program as a command that was not started.
func newProgram(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// startServer starts a server and waits until it serves.
func startServer(t *testing.T, url, name string) *exec.Cmd {
	t.Helper()
	cmd := newProgram(t, "-url", url, "-name", name, "serve")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "serving\n" {
		t.Fatalf("the server printed %q, %v; want \"serving\"", line, err)
	}
	return cmd
}

// runProgram returns the output of the program.
func runProgram(t *testing.T, args ...string) string {
	t.Helper()
	out, err := newProgram(t, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

const (
	helloText = "Hello, Ada (from one)\nHello, Grace (from one)\n"
	chatText  = "Hello, Ada\nHello, Grace\n"
)

// startBackend starts the backend of a provider, by the name of the provider.
var startBackend = map[string]func(*testing.T) (url string){
	"redis": func(t *testing.T) string { return testbed.Redis(t).URL() },
	"etcd":  func(t *testing.T) string { return testbed.Etcd(t).URL() },
	"nats":  func(t *testing.T) string { return testbed.NATS(t).URL() },
}

// TestInOneProcess runs server and client within one process, over providers that
// need no backend.
func TestInOneProcess(t *testing.T) {
	for _, url := range []string{"mem://", "mem://?rpc=directory"} {
		if got := runProgram(t, "-url", url, "-name", "one", "both", "Ada", "Grace"); got != helloText+chatText {
			t.Errorf("%s: got %q", url, got)
		}
	}
}

// TestInTwoProcesses runs server and client in a process each, and then in one.
// Only the URL depends on the provider.
func TestInTwoProcesses(t *testing.T) {
	for provider, start := range startBackend {
		t.Run(provider, func(t *testing.T) { inTwoProcesses(t, start(t)) })
	}
}

// TestOverDapr runs them over the sidecar of an app.
func TestOverDapr(t *testing.T) {
	app := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprApp(serviceName), testbed.DaprAppPort(testbed.Port(t)))
	inTwoProcesses(t, app.URL())
}

func inTwoProcesses(t *testing.T, url string) {
	server := startServer(t, url, "one")
	if got := runProgram(t, "-url", url, "hello", "Ada", "Grace"); got != helloText {
		t.Errorf("got %q", got)
	}
	if got := runProgram(t, "-url", url, "chat", "Ada", "Grace"); got != chatText {
		t.Errorf("got %q", got)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if got := runProgram(t, "-url", url, "-name", "one", "both", "Ada", "Grace"); got != helloText+chatText {
		t.Errorf("within one process: got %q", got)
	}
}

// TestServersAreKilledUnderLoad ends servers while eight callers make calls. When a
// server is killed, only the calls that it was serving may fail. When it gets
// SIGTERM, no call may fail.
func TestServersAreKilledUnderLoad(t *testing.T) {
	for provider, start := range startBackend {
		t.Run(provider, func(t *testing.T) { killedUnderLoad(t, start(t)) })
	}
}

func killedUnderLoad(t *testing.T, url string) {
	const callers = 8
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	conn, err := rpc.Dial(t.Context(), p, serviceName)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	client := greeterpb.NewGreeterClient(conn)
	running := startServer(t, url, "0")
	awaitServer(t, client, "0")
	var failed, made atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range callers {
		load.Go(func() {
			for ctx := t.Context(); ; made.Add(1) {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := client.SayHello(ctx, &greeterpb.SayHelloRequest{Name: "Ada"}); err != nil {
					failed.Add(1)
					t.Logf("failed: %v", err)
				}
			}
		})
	}
	for i, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
		next := startServer(t, url, string(rune('1'+i)))
		awaitServer(t, client, string(rune('1'+i)))
		before := failed.Load()
		if err := running.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = running.Wait()
		allowed := map[syscall.Signal]int64{syscall.SIGTERM: 0, syscall.SIGKILL: callers}[signal]
		for at := made.Load(); made.Load() < at+1000; {
			time.Sleep(time.Millisecond)
		}
		if n := failed.Load() - before; n > allowed {
			t.Errorf("%v: %d calls failed, want at most %d", signal, n, allowed)
		}
		running = next
	}
	close(stop)
	load.Wait()
	t.Logf("%d calls, %d failed", made.Load(), failed.Load())
}

// awaitServer waits until a call reaches the server of a name.
func awaitServer(t *testing.T, client greeterpb.GreeterClient, server string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		reply, err := client.SayHello(t.Context(), &greeterpb.SayHelloRequest{})
		if err == nil && reply.Server == server {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no call reached the server %s: %v, %v", server, reply, err)
		}
	}
}

func TestUsage(t *testing.T) {
	var out strings.Builder
	for _, args := range [][]string{nil, {"dance"}} {
		if err := run(t.Context(), "mem://", "x", args, &out); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v", args, err)
		}
	}
	if err := run(t.Context(), "mem://", "x", []string{"hello", "Ada"}, &out); err == nil {
		t.Error("a client without a server succeeded")
	}
}
