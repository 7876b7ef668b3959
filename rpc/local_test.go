package rpc_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/rpc"
)

// Neither end sees changes that the other end makes to its messages.
func TestMessagesAreNotShared(t *testing.T) {
	kept := make(chan *pb.SimpleRequest, 1)
	impl := &service{unary: func(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		in.Payload.Body[0] = 'H'
		kept <- in
		return &pb.SimpleResponse{Payload: in.Payload}, nil
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		in := &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("abc")}}
		out, err := c.UnaryCall(ctx, in)
		check.NoError(t, err)
		out.Payload.Body[1] = 'C'
		got := within(t, kept)
		if string(in.Payload.Body) != "abc" || string(got.Payload.Body) != "Hbc" || string(out.Payload.Body) != "HCc" {
			t.Errorf("the caller's request is %q, the handler's %q, the reply %q", in.Payload.Body, got.Payload.Body, out.Payload.Body)
		}
	})
}

// A caller that has returned may use its messages: the race detector would report
// a handler that still reads the request or writes the reply.
func TestCallerReturnsBeforeItsMessagesAreUsed(t *testing.T) {
	entered, proceed, handled := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	desc := pb.TestService_ServiceDesc
	desc.Methods, desc.Streams = slices.Clone(desc.Methods), nil
	unary := &desc.Methods[slices.IndexFunc(desc.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == "UnaryCall" })]
	generated := unary.Handler
	unary.Handler = func(impl any, ctx context.Context, decode func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
		close(entered)
		<-proceed
		out, err := generated(impl, ctx, decode, in)
		handled <- err
		return out, err
	}
	p := open(t, "mem://")
	srv, err := rpc.NewServer(t.Context(), p, "test")
	check.NoError(t, err)
	srv.RegisterService(&desc, &service{unary: echo})
	served := make(chan error, 1)
	check.NoError(t, srv.Listen(t.Context()))
	go func() { served <- srv.Serve(context.Background()) }()
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	_, err = c.EmptyCall(t.Context(), &pb.Empty{}) // after this reply the server serves
	wantCode(t, err, codes.Unimplemented)

	ctx, cancel := context.WithCancel(t.Context())
	in := &pb.SimpleRequest{Payload: payload(100)}
	ended := make(chan error, 1)
	go func() { _, err := c.UnaryCall(ctx, in); ended <- err }()
	within(t, entered)
	cancel()
	wantCode(t, within(t, ended), codes.Canceled)
	close(proceed)
	in.Payload.Body[0]++
	wantCode(t, within(t, handled), codes.Canceled)
	srv.Stop()
	check.NoError(t, within(t, served))
}

// A call ends at once, whatever its handler does, when its context, connection,
// server or provider ends. The handler's context ends too.
func TestUnaryCallEndsWith(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*ending)
		want codes.Code
	}{
		"its context":    {func(e *ending) { e.cancel() }, codes.Canceled},
		"its connection": {func(e *ending) { _ = e.conn.Close(context.Background()) }, codes.Canceled},
		"the server":     {func(e *ending) { e.server.Stop() }, codes.Unavailable},
		"the provider":   {func(e *ending) { _ = e.provider.Close(context.Background()) }, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			entered, ended, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
			defer close(release)
			theirs := open(t, "mem://ending")
			e := &ending{provider: theirs}
			e.server = serve(t, open(t, "mem://ending"), "test", &service{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
				close(entered)
				<-ctx.Done()
				close(ended)
				<-release
				return &pb.SimpleResponse{}, nil
			}})
			e.conn = dial(t, theirs, "test")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			e.cancel = cancel
			outcome := make(chan error, 1)
			go func() {
				_, err := pb.NewTestServiceClient(e.conn).UnaryCall(ctx, &pb.SimpleRequest{})
				outcome <- err
			}()
			within(t, entered)
			c.end(e)
			wantCode(t, within(t, outcome), c.want)
			within(t, ended)
		})
	}
}

// ending holds everything whose end can end a call.
type ending struct {
	cancel   context.CancelFunc
	conn     *rpc.Conn
	server   *rpc.Server
	provider fairlead.Provider
}
