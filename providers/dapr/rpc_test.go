package dapr_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc"
)

// greeter answers with the request.
type greeter struct {
	pb.UnimplementedTestServiceServer
	calls atomic.Int32
}

func (g *greeter) UnaryCall(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	g.calls.Add(1)
	return &pb.SimpleResponse{Payload: in.Payload}, nil
}

func (g *greeter) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		m, err := both.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = both.Send(&pb.StreamingOutputCallResponse{Payload: m.Payload})
		}
		if err != nil {
			return err
		}
	}
}

// serveGreeter serves until the test ends.
func serveGreeter(t *testing.T, p fairlead.Provider, name string) (*greeter, func()) {
	t.Helper()
	g := &greeter{}
	srv, err := rpc.NewServer(t.Context(), p, name)
	check.NoError(t, err)
	pb.RegisterTestServiceServer(srv, g)
	check.NoError(t, srv.Listen(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(context.WithoutCancel(t.Context())) }()
	stop := func() { srv.Stop(); <-ended }
	return g, stop
}

func ask(ctx context.Context, conn grpc.ClientConnInterface, text string) error {
	c := pb.NewTestServiceClient(conn)
	out, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte(text)}})
	if err == nil && string(out.GetPayload().GetBody()) != text {
		return fmt.Errorf("got %q", out.GetPayload().GetBody())
	}
	if err != nil {
		return err
	}
	both, err := c.FullDuplexCall(ctx)
	for i := 0; i < 3 && err == nil; i++ {
		if err = both.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte{byte(i)}}}); err == nil {
			_, err = both.Recv()
		}
	}
	if err == nil {
		err = both.CloseSend()
	}
	if err == nil {
		if _, err = both.Recv(); err == io.EOF {
			return nil
		}
	}
	return err
}

func greet(t *testing.T, server, client fairlead.Provider, name string) {
	t.Helper()
	_, stop := serveGreeter(t, server, name)
	defer stop()
	conn, err := rpc.Dial(t.Context(), client, name)
	check.NoError(t, err)
	defer conn.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	check.NoError(t, ask(ctx, conn, "hello"))
}

// TestSidecars lets three apps call each other, each through its own sidecar.
func TestSidecars(t *testing.T) {
	names := filepath.Join(t.TempDir(), "names.db")
	var apps []fairlead.Provider
	for i := range 3 {
		s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprNames(names), testbed.DaprApp(fmt.Sprintf("app%d", i)), testbed.DaprAppPort(testbed.Port(t)))
		apps = append(apps, open(t, s.URL()))
	}
	for i, server := range apps {
		for _, client := range apps {
			greet(t, server, client, fmt.Sprintf("app%d", i))
		}
	}
	srv, err := rpc.NewServer(t.Context(), apps[0], "app1")
	check.NoError(t, err)
	defer srv.Stop()
	check.Code(t, srv.Listen(t.Context()), fairlead.Invalid)
}

// TestPlainGRPC calls a Fairlead server with an ordinary gRPC client, and an
// ordinary server with a Fairlead client, through sidecars.
func TestPlainGRPC(t *testing.T) {
	names := filepath.Join(t.TempDir(), "names.db")
	ours := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprNames(names), testbed.DaprApp("ours"), testbed.DaprAppPort(testbed.Port(t)))
	port := testbed.Port(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	check.NoError(t, err)
	plain := grpc.NewServer()
	pb.RegisterTestServiceServer(plain, &greeter{})
	ended := make(chan error, 1)
	go func() { ended <- plain.Serve(l) }()
	defer func() { plain.Stop(); check.NoError(t, <-ended) }()
	theirs := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprNames(names), testbed.DaprApp("theirs"), testbed.DaprAppPort(port))

	p := open(t, ours.URL())
	_, stop := serveGreeter(t, p, "ours")
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	straight, err := grpc.NewClient(theirs.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check.NoError(t, err)
	defer straight.Close()
	check.NoError(t, ask(metadata.AppendToOutgoingContext(ctx, "dapr-app-id", "ours", "dapr-stream", "true"), straight, "from a plain client"))
	conn, err := rpc.Dial(t.Context(), p, "theirs")
	check.NoError(t, err)
	defer conn.Close(t.Context())
	check.NoError(t, ask(ctx, conn, "to a plain server"))
	err = conn.Invoke(ctx, "/grpc.testing.TestService/Nothing", &pb.Empty{}, &pb.Empty{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that a plain server does not have: %v", err)
	}
}

// TestNoApp calls an app that does not exist, and listens where no client can reach
// the server.
func TestNoApp(t *testing.T) {
	s := testbed.Dapr(t, testbed.DaprInMemory())
	d, err := open(t, s.URL()).Describe(t.Context())
	check.NoError(t, err)
	if _, offered := d.Facet(fairlead.RPC); offered {
		t.Error("a sidecar without an app offers rpc, although it has no app to call")
	}
	p := open(t, s.URL()+"?app=*")
	conn, err := rpc.Dial(t.Context(), p, "nobody", rpc.Require(rpc.FastNoResponder))
	check.NoError(t, err)
	defer conn.Close(t.Context())
	if err := ask(t.Context(), conn, "hello"); status.Code(err) != codes.Unavailable {
		t.Errorf("a call of an app that does not exist: %v", err)
	}
	srv, err := rpc.NewServer(t.Context(), p, "app")
	check.NoError(t, err)
	defer srv.Stop()
	check.Code(t, srv.Listen(t.Context()), fairlead.Invalid)
}

// TestAppPortTaken serves on a port on which another program listens.
func TestAppPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, err)
	defer l.Close()
	s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprAppPort(l.Addr().(*net.TCPAddr).Port))
	srv, err := rpc.NewServer(t.Context(), open(t, s.URL()), "app")
	check.NoError(t, err)
	defer srv.Stop()
	check.Code(t, srv.Listen(t.Context()), fairlead.Unavailable)
}
