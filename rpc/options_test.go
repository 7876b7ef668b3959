package rpc_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"

	"fairlead.dev/providers"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

// Each claim has the same name in Go, in errors and on the wire.
func TestClaimNames(t *testing.T) {
	names := map[fairlead.Claim]string{
		rpc.FullDuplex:      "rpc.FullDuplex",
		rpc.FlowControl:     "rpc.FlowControl",
		rpc.FastNoResponder: "rpc.FastNoResponder",
		rpc.LoadBalance:     "rpc.LoadBalance",
		rpc.Directory:       "rpc.Directory",
	}
	for _, c := range driver.Claims() {
		if want, ok := names[c.Claim]; !ok || string(c.Claim) != want {
			t.Errorf("the claim %q has the name %q in package rpc", c.Claim, want)
		}
		delete(names, c.Claim)
	}
	if len(names) > 0 {
		t.Errorf("package driver does not list %v", names)
	}
}

func TestRequire(t *testing.T) {
	p := open(t, "mem://")
	all := rpc.Require(rpc.FullDuplex, rpc.FlowControl, rpc.FastNoResponder, rpc.LoadBalance)
	dial(t, p, "test", all)
	serve(t, p, "test", &service{}, all)
	durable := rpc.Require(fairlead.DurableFsync)
	_, err := rpc.Dial(t.Context(), p, "test", durable)
	wantProviderError(t, err, fairlead.Unsupported, "DurableFsync")
	_, err = rpc.NewServer(t.Context(), p, "test", durable)
	wantProviderError(t, err, fairlead.Unsupported, "DurableFsync")
}

// When a guarantee is lost at run time, the calls that require it fail.
func TestRequirementLost(t *testing.T) {
	full := fairlead.Description{Facets: []fairlead.FacetDescription{{Facet: fairlead.RPC, Claims: []fairlead.Claim{rpc.FlowControl}}}}
	less := fairlead.Description{Facets: []fairlead.FacetDescription{{Facet: fairlead.RPC}}}
	dp := open(t, "mem://").(driver.Provider)
	p := carrying{described{dp, providers.NewLive(full)}, dp}
	t.Cleanup(func() { p.Shut() })
	serve(t, p, "test", &service{unary: echo}, rpc.Require(rpc.FlowControl))
	for _, opts := range [][]rpc.DialOption{{rpc.Require(rpc.FlowControl)}, nil} {
		c := pb.NewTestServiceClient(dial(t, p, "test", opts...))
		awaitCode(t, c, codes.OK)
		p.Update(less)
		awaitCode(t, c, codes.FailedPrecondition)
		p.Update(full)
		awaitCode(t, c, codes.OK)
	}
}

func awaitCode(t *testing.T, c pb.TestServiceClient, want codes.Code) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		if status.Code(err) == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
}

// described is a provider whose description the test sets.
type described struct {
	fairlead.Provider
	*providers.Live
}

func (d described) Describe(ctx context.Context) (fairlead.Description, error) {
	return d.Live.Describe(ctx)
}

func (d described) Await(ctx context.Context, generation uint64) (fairlead.Description, error) {
	return d.Live.Await(ctx, generation)
}

// carrying is a described provider that also carries calls.
type carrying struct {
	described
	driver.Carrier
}

func TestWithoutFacet(t *testing.T) {
	p := described{open(t, "mem://"), providers.NewLive(fairlead.Description{Provider: "less"})}
	_, err := rpc.Dial(t.Context(), p, "test")
	wantProviderError(t, err, fairlead.Unsupported, "rpc")
	_, err = rpc.NewServer(t.Context(), p, "test")
	wantProviderError(t, err, fairlead.Unsupported, "rpc")
	// The description promises a facet that the provider does not implement.
	p.Update(fairlead.Description{Provider: "less", Facets: []fairlead.FacetDescription{{Facet: fairlead.RPC}}})
	_, err = rpc.Dial(t.Context(), p, "test")
	wantProviderError(t, err, fairlead.Internal, "does not implement")
}

func TestBadArguments(t *testing.T) {
	p := open(t, "mem://")
	for _, name := range []string{"", "a/b", ".a", strings.Repeat("a", 129)} {
		_, err := rpc.Dial(t.Context(), p, name)
		wantProviderError(t, err, fairlead.Invalid, "service")
		_, err = rpc.NewServer(t.Context(), p, name)
		wantProviderError(t, err, fairlead.Invalid, "service")
	}
	_, err := rpc.Dial(t.Context(), nil, "test")
	wantProviderError(t, err, fairlead.Invalid, "nil")
	for what, opt := range map[string]rpc.DialOption{
		"Require":                rpc.Require(nil),
		"WithUnaryInterceptor":   rpc.WithUnaryInterceptor(nil),
		"WithStreamInterceptor":  rpc.WithStreamInterceptor(nil),
		"WithDefaultCallOptions": rpc.WithDefaultCallOptions(nil),
	} {
		_, err := rpc.Dial(t.Context(), p, "test", opt)
		wantProviderError(t, err, fairlead.Invalid, what)
	}
	for what, opt := range map[string]rpc.ServerOption{
		"Require":           rpc.Require(nil),
		"UnaryInterceptor":  rpc.UnaryInterceptor(nil),
		"StreamInterceptor": rpc.StreamInterceptor(nil),
		"MaxRecvMsgSize":    rpc.MaxRecvMsgSize(0),
	} {
		_, err := rpc.NewServer(t.Context(), p, "test", opt)
		wantProviderError(t, err, fairlead.Invalid, what)
	}
}

func wantProviderError(t *testing.T, err error, code fairlead.Code, text string) {
	t.Helper()
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Error(), text) || !strings.HasPrefix(e.Op, "rpc.") {
		t.Errorf("got %v, want %v about %q", err, code, text)
	}
}

func TestUnsupportedCallOption(t *testing.T) {
	c := pb.NewTestServiceClient(dialMemory(t, &service{unary: echo}))
	for _, opt := range []grpc.CallOption{grpc.CallAuthority("other")} {
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{}, opt)
		wantCode(t, err, codes.Unimplemented)
	}
	_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{}, grpc.WaitForReady(false))
	check.NoError(t, err)
}

func TestMaxRecvMsgSize(t *testing.T) {
	p := open(t, "mem://")
	serve(t, p, "test", &service{unary: echo}, rpc.MaxRecvMsgSize(100))
	c := pb.NewTestServiceClient(dial(t, p, "test", rpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(300))))
	for size, want := range map[int]codes.Code{50: codes.OK, 200: codes.ResourceExhausted, 400: codes.ResourceExhausted} {
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{Payload: payload(size)})
		wantCode(t, err, want)
	}
}

// Interceptors are called in order, from the outermost to the innermost, with the
// arguments that grpc-go passes.
func TestInterceptors(t *testing.T) {
	var seen []string // calls are made one after the other
	note := func(name, what string) { seen = append(seen, name+" "+what) }
	unaryClient := func(name string) grpc.UnaryClientInterceptor {
		return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			note(name, method+" "+cc.Target())
			return next(ctx, method, req, reply, cc, opts...)
		}
	}
	streamClient := func(name string) grpc.StreamClientInterceptor {
		return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			note(name, method+" "+cc.Target())
			return next(ctx, desc, cc, method, opts...)
		}
	}
	unaryServer := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			note(name, info.FullMethod)
			return next(ctx, req)
		}
	}
	streamServer := func(name string) grpc.StreamServerInterceptor {
		return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			note(name, info.FullMethod)
			return next(srv, stream)
		}
	}
	p := open(t, "mem://")
	serve(t, p, "test", &service{unary: echo, duplex: bounce},
		rpc.UnaryInterceptor(unaryServer("s1"), unaryServer("s2")), rpc.UnaryInterceptor(unaryServer("s3")),
		rpc.StreamInterceptor(streamServer("s1"), streamServer("s2"), streamServer("s3")))
	c := pb.NewTestServiceClient(dial(t, p, "test",
		rpc.WithUnaryInterceptor(unaryClient("c1"), unaryClient("c2")), rpc.WithUnaryInterceptor(unaryClient("c3")),
		rpc.WithStreamInterceptor(streamClient("c1"), streamClient("c2"), streamClient("c3"))))

	_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	check.NoError(t, err)
	wantSeen(t, seen, pb.TestService_UnaryCall_FullMethodName)
	seen = nil
	stream, err := c.FullDuplexCall(t.Context())
	check.NoError(t, err)
	check.NoError(t, stream.CloseSend())
	_, _ = stream.Recv() // the handler has ended
	wantSeen(t, seen, pb.TestService_FullDuplexCall_FullMethodName)
}

func wantSeen(t *testing.T, seen []string, method string) {
	t.Helper()
	var want []string
	for _, name := range []string{"c1", "c2", "c3"} {
		want = append(want, name+" "+method+" passthrough:///test")
	}
	for _, name := range []string{"s1", "s2", "s3"} {
		want = append(want, name+" "+method)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
}
