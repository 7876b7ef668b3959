package rpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is the interop test service with the handlers of a test.
type service struct {
	pb.UnimplementedTestServiceServer
	unary  func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error)
	output func(*pb.StreamingOutputCallRequest, grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error
	input  func(grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error
	duplex func(grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error
}

func (s *service) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return s.unary(ctx, in)
}

func (s *service) StreamingOutputCall(in *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	return s.output(in, out)
}

func (s *service) StreamingInputCall(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	return s.input(in)
}

func (s *service) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	return s.duplex(both)
}

// overAll runs a test over the memory provider as a carrier within the process, as
// a carrier whose servers may be in other processes, and as a directory, and also
// over grpc-go itself: the behaviour has to be the same.
func overAll(t *testing.T, impl *service, test func(*testing.T, context.Context, pb.TestServiceClient)) {
	t.Helper()
	t.Run("fairlead", func(t *testing.T) { test(t, t.Context(), pb.NewTestServiceClient(dialMemory(t, impl))) })
	t.Run("frames", func(t *testing.T) { test(t, t.Context(), pb.NewTestServiceClient(dialFrames(t, impl))) })
	t.Run("directory", func(t *testing.T) { test(t, t.Context(), pb.NewTestServiceClient(dialDirectory(t, impl))) })
	t.Run("grpc-go", func(t *testing.T) { test(t, t.Context(), pb.NewTestServiceClient(dialGRPC(t, impl))) })
}

func open(t testing.TB, url string) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, p.Close(context.Background())) })
	return p
}

// serve starts a server. Calls reach it when serve has returned.
func serve(t testing.TB, p fairlead.Provider, name string, impl pb.TestServiceServer, opts ...rpc.ServerOption) *rpc.Server {
	t.Helper()
	srv, err := rpc.NewServer(t.Context(), p, name, opts...)
	check.NoError(t, err)
	pb.RegisterTestServiceServer(srv, impl)
	check.NoError(t, srv.Listen(t.Context()))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	t.Cleanup(func() {
		srv.Stop()
		check.NoError(t, within(t, served))
	})
	return srv
}

func dial(t testing.TB, p fairlead.Provider, name string, opts ...rpc.DialOption) *rpc.Conn {
	t.Helper()
	conn, err := rpc.Dial(t.Context(), p, name, opts...)
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, conn.Close(context.Background())) })
	return conn
}

func dialMemory(t testing.TB, impl pb.TestServiceServer) *rpc.Conn {
	p := open(t, "mem://")
	serve(t, p, "test", impl)
	return dial(t, p, "test")
}

// frames is a provider that does not implement driver.Local: all its calls are
// frames.
type frames struct {
	fairlead.Provider
	driver.Carrier
}

func openFrames(t testing.TB) fairlead.Provider {
	p := open(t, "mem://")
	return frames{p, p.(driver.Carrier)}
}

func dialFrames(t testing.TB, impl pb.TestServiceServer) *rpc.Conn {
	p := openFrames(t)
	serve(t, p, "test", impl)
	return dial(t, p, "test")
}

func dialDirectory(t testing.TB, impl pb.TestServiceServer) *rpc.Conn {
	p := open(t, "mem://?rpc=directory")
	serve(t, p, "test", impl)
	return dial(t, p, "test")
}

func dialGRPC(t testing.TB, impl pb.TestServiceServer) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer()
	pb.RegisterTestServiceServer(srv, impl)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, conn.Close()) })
	return conn
}

// within returns the next value of a channel, and fails the test if none comes in
// time.
func within[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("the channel had no value within 10 s")
		panic("unreachable")
	}
}

func payload(n int) *pb.Payload { return &pb.Payload{Body: make([]byte, n)} }
