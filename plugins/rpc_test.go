package plugins_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/plugins"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

// answering is a server that answers with its name.
type answering struct {
	pb.UnimplementedTestServiceServer
	name string
}

func (a answering) UnaryCall(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{ServerId: a.name}, nil
}

func answer(t *testing.T, p fairlead.Provider, name string) {
	t.Helper()
	srv := must[*rpc.Server](t)(rpc.NewServer(t.Context(), p, "greeter"))
	pb.RegisterTestServiceServer(srv, answering{name: name})
	if err := srv.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// eventuallyAnswered waits until a call over a new connection is answered by the
// server of that name.
func eventuallyAnswered(t *testing.T, p fairlead.Provider, name string) {
	t.Helper()
	conn := must[*rpc.Conn](t)(rpc.Dial(t.Context(), p, "greeter"))
	defer conn.Close(t.Context())
	c := pb.NewTestServiceClient(conn)
	var out *pb.SimpleResponse
	var err error
	check.Eventually(t, "a call is answered", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		out, err = c.UnaryCall(ctx, &pb.SimpleRequest{})
		return err == nil
	})
	if out.ServerId != name {
		t.Errorf("the server %q has answered, want %q", out.ServerId, name)
	}
}

// TestDirectoryConformance runs the cases of rpc over a directory whose addresses
// are kept in a plugin, once for each transport.
func TestDirectoryConformance(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			conformance.Test(t, w.open(t, "memory", "mem://directory?rpc=directory"),
				conformance.WithTransport(w.name), conformance.WithFacets(fairlead.RPC), conformance.WithProfile(conformance.Quick))
		})
	}
}

// TestCallsOutliveADirectory kills the plugin that keeps the addresses. Calls
// continue meanwhile, since they do not pass through it. Afterwards, servers that
// join are found, and earlier servers are registered again.
func TestCallsOutliveADirectory(t *testing.T) {
	server := testbed.Redis(t)
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), eager)
	p := open(t, h, "plugin+"+server.URL()+"?rpc-lease=1s")
	answer(t, p, "first")
	conn := must[*rpc.Conn](t)(rpc.Dial(t.Context(), p, "greeter"))
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	c := pb.NewTestServiceClient(conn)
	ask := func() string {
		out, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		if err != nil {
			t.Fatalf("a call between processes that live: %v", err)
		}
		return out.ServerId
	}
	ask()
	killed(t, h, p)
	ask()
	answer(t, p, "second")
	check.Eventually(t, "the server that joined is found", func() bool { return ask() == "second" })
	late := must[*rpc.Conn](t)(rpc.Dial(t.Context(), open(t, h, "plugin+"+server.URL()), "greeter"))
	t.Cleanup(func() { _ = late.Close(context.Background()) })
	c = pb.NewTestServiceClient(late)
	ask()
	check.Eventually(t, "the first server is registered again", func() bool { return ask() == "first" })
}

// TestCallsNeedNoDirectory removes the plugin that keeps the addresses until their
// leases have expired. Calls between processes that are already connected
// continue, and servers are registered again when the plugin is back.
func TestCallsNeedNoDirectory(t *testing.T) {
	server := testbed.Redis(t)
	folder := installed(t, "redis")
	h := newHost(t, plugins.WithFolders(folder), plugins.WithRestart(plugins.RestartPolicy{
		MinPause: time.Millisecond, MaxPause: 10 * time.Millisecond,
		MaxStarts: 3, Window: time.Minute, Cooldown: 50 * time.Millisecond,
	}))
	p := open(t, h, "plugin+"+server.URL()+"?rpc-lease=1s")
	answer(t, p, "first")
	conn := must[*rpc.Conn](t)(rpc.Dial(t.Context(), p, "greeter"))
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	c := pb.NewTestServiceClient(conn)
	ask := func() {
		t.Helper()
		if _, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{}); err != nil {
			t.Fatalf("a call between processes that live: %v", err)
		}
	}
	ask()
	back := away(t, filepath.Join(folder, "fairlead-redis"))
	if err := syscall.Kill(h.Status()[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "the plugin cannot be started", func() bool { return h.Status()[0].State == plugins.Failed })
	check.Eventually(t, "the address has expired", func() bool { return len(registered(t, server)) == 0 })
	for range 100 {
		ask()
	}
	back() // the directory now reports correctly that no server is registered
	check.Eventually(t, "the server is registered again", func() bool { return len(registered(t, server)) == 1 })
	eventuallyAnswered(t, openURL(t, server.URL()), "first")
}

// away moves a file away, and returns a function that moves it back.
func away(t *testing.T, file string) func() {
	t.Helper()
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(file, file+".away")
	return func() { move(file+".away", file) }
}

// registered returns the addresses of the greeters in a directory.
func registered(t *testing.T, server *testbed.RedisServer) []driver.Endpoint {
	t.Helper()
	p := must[fairlead.Provider](t)(fairlead.Open(t.Context(), server.URL()))
	defer closes(t, p)
	w := must[driver.EndpointWatcher](t)(p.(driver.Directory).WatchEndpoints(t.Context(), driver.WatchConfig{Service: "greeter"}))
	defer closes(t, w)
	return must[[]driver.Endpoint](t)(w.Next(t.Context()))
}
