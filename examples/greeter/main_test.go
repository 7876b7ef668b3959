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

// asProgram makes the test binary the program itself.
const asProgram = "GREETER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is the command in a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a server and waits until it serves.
func start(t *testing.T, url, name string) *exec.Cmd {
	t.Helper()
	cmd := program(t, "-url", url, "-name", name, "serve")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "serving\n" {
		t.Fatalf("the server said %q, %v", line, err)
	}
	return cmd
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := program(t, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

const (
	helloText = "Hello, Ada (from one)\nHello, Grace (from one)\n"
	chatText  = "Hello, Ada\nHello, Grace\n"
)

// servers are what is between processes, by the name of the provider.
var servers = map[string]func(*testing.T) (url string){
	"redis": func(t *testing.T) string { return testbed.Redis(t).URL() },
	"etcd":  func(t *testing.T) string { return testbed.Etcd(t).URL() },
	"nats":  func(t *testing.T) string { return testbed.NATS(t).URL() },
}

// TestInOneProcess runs server and client within one process, over providers
// that have no server.
func TestInOneProcess(t *testing.T) {
	for _, url := range []string{"mem://", "mem://?rpc=directory"} {
		if got := output(t, "-url", url, "-name", "one", "both", "Ada", "Grace"); got != helloText+chatText {
			t.Errorf("%s: got %q", url, got)
		}
	}
}

// TestInTwoProcesses runs server and client in processes of their own, and both
// in one: only the URL says what is between them.
func TestInTwoProcesses(t *testing.T) {
	for provider, start := range servers {
		t.Run(provider, func(t *testing.T) { inTwoProcesses(t, start(t)) })
	}
}

// TestOverDapr does so through the sidecar of an app.
func TestOverDapr(t *testing.T) {
	app := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprApp(service), testbed.DaprAppPort(testbed.Port(t)))
	inTwoProcesses(t, app.URL())
}

func inTwoProcesses(t *testing.T, url string) {
	server := start(t, url, "one")
	if got := output(t, "-url", url, "hello", "Ada", "Grace"); got != helloText {
		t.Errorf("got %q", got)
	}
	if got := output(t, "-url", url, "chat", "Ada", "Grace"); got != chatText {
		t.Errorf("got %q", got)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if got := output(t, "-url", url, "-name", "one", "both", "Ada", "Grace"); got != helloText+chatText {
		t.Errorf("within one process: got %q", got)
	}
}

// TestServersAreKilledUnderLoad kills servers while eight callers call: nothing
// fails but what the killed one had in hand. Servers that are asked to end make
// no call fail.
func TestServersAreKilledUnderLoad(t *testing.T) {
	for provider, start := range servers {
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
	conn, err := rpc.Dial(t.Context(), p, service)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := greeterpb.NewGreeterClient(conn)
	last := start(t, url, "0")
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
		next := start(t, url, string(rune('1'+i)))
		awaitServer(t, client, string(rune('1'+i)))
		before := failed.Load()
		if err := last.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = last.Wait()
		most := map[syscall.Signal]int64{syscall.SIGTERM: 0, syscall.SIGKILL: callers}[signal]
		for at := made.Load(); made.Load() < at+1000; {
			time.Sleep(time.Millisecond)
		}
		if n := failed.Load() - before; n > most {
			t.Errorf("%v: %d calls failed, at most %d may", signal, n, most)
		}
		last = next
	}
	close(stop)
	load.Wait()
	t.Logf("%d calls, %d failed", made.Load(), failed.Load())
}

// awaitServer waits until a server is reached.
func awaitServer(t *testing.T, client greeterpb.GreeterClient, server string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		reply, err := client.SayHello(t.Context(), &greeterpb.SayHelloRequest{})
		if err == nil && reply.Server == server {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server %s is not reached: %v, %v", server, reply, err)
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
