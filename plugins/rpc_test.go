package plugins_test

import (
	"context"
	"testing"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/plugins"
	"fairlead.dev/providers"
	"fairlead.dev/rpc"
)

// answering is a server that says its name.
type answering struct {
	pb.UnimplementedTestServiceServer
	name string
}

func (a answering) UnaryCall(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{ServerId: a.name}, nil
}

func answer(t *testing.T, p providers.Provider, name string) {
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

// TestDirectoryConformance runs the cases of rpc over a directory whose
// addresses are kept behind each transport.
func TestDirectoryConformance(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			conformance.Test(t, w.open(t, "memory", "mem://directory?rpc=directory"),
				conformance.WithTransport(w.name), conformance.WithFacets(providers.RPC), conformance.WithProfile(conformance.Quick))
		})
	}
}

// TestCallsOutliveADirectory kills the plugin that keeps the addresses: calls go
// on meanwhile, since they do not pass through it, and afterwards servers that
// join are found, and those that were there are registered again.
func TestCallsOutliveADirectory(t *testing.T) {
	server := testbed.Redis(t)
	h := newHost(t, plugins.WithFolders(installed(t, "redis")), eager)
	p := open(t, h, "plugin+"+server.URL()+"?rpc-lease=1s")
	answer(t, p, "first")
	conn := must[*rpc.Conn](t)(rpc.Dial(t.Context(), p, "greeter"))
	t.Cleanup(func() { _ = conn.Close() })
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
	eventually(t, "the server that joined is found", func() bool { return ask() == "second" })
	late := must[*rpc.Conn](t)(rpc.Dial(t.Context(), open(t, h, "plugin+"+server.URL()), "greeter"))
	t.Cleanup(func() { _ = late.Close() })
	c = pb.NewTestServiceClient(late)
	ask()
	eventually(t, "the first server is registered again", func() bool { return ask() == "first" })
}
