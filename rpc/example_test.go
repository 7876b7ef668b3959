package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/examples/greeter/greeterpb"
	_ "fairlead.dev/providers/memory"
	"fairlead.dev/rpc"
)

// greeterServer implements the generated interface, as over any gRPC.
type greeterServer struct {
	greeterpb.UnimplementedGreeterServer
}

func (greeterServer) SayHello(_ context.Context, in *greeterpb.SayHelloRequest) (*greeterpb.SayHelloResponse, error) {
	if in.Name == "" {
		return nil, status.Error(codes.InvalidArgument, "the name is empty")
	}
	return &greeterpb.SayHelloResponse{Text: "Hello, " + in.Name}, nil
}

func (greeterServer) Chat(stream greeterpb.Greeter_ChatServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&greeterpb.ChatResponse{Text: "Hello, " + in.Name}); err != nil {
			return err
		}
	}
}

// openGreeter serves the greeter within this process, and returns a connection to
// it and a function that closes both.
func openGreeter(ctx context.Context, opts ...rpc.ServerOption) (*rpc.Conn, func()) {
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := rpc.NewServer(ctx, p, "greeter", opts...)
	if err != nil {
		log.Fatal(err)
	}
	greeterpb.RegisterGreeterServer(srv, greeterServer{})
	if err := srv.Listen(ctx); err != nil { // from now on, calls wait until Serve runs
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	conn, err := rpc.Dial(ctx, p, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	return conn, func() {
		if err := errors.Join(conn.Close(ctx), srv.Close(ctx), <-served, p.Close(ctx)); err != nil {
			log.Fatal(err)
		}
	}
}

// Generated code works unchanged, at the server and at the client.
func Example() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)

	srv, err := rpc.NewServer(ctx, p, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Stop()
	greeterpb.RegisterGreeterServer(srv, greeterServer{})
	if err := srv.Listen(ctx); err != nil { // from now on, calls wait until Serve runs
		log.Fatal(err)
	}
	go srv.Serve(ctx)

	conn, err := rpc.Dial(ctx, p, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	reply, err := greeterpb.NewGreeterClient(conn).SayHello(ctx, &greeterpb.SayHelloRequest{Name: "Ada"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Text)
	// Output: Hello, Ada
}

// A stream sends and receives independently. CloseSend half-closes it, and the
// server's messages end with io.EOF.
func ExampleConn_NewStream() {
	ctx := context.Background()
	conn, closeAll := openGreeter(ctx)
	defer closeAll()

	stream, err := greeterpb.NewGreeterClient(conn).Chat(ctx) // calls NewStream
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"Ada", "Grace"} {
		if err := stream.Send(&greeterpb.ChatRequest{Name: name}); err != nil {
			log.Fatal(err)
		}
		reply, err := stream.Recv()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.Text)
	}
	if err := stream.CloseSend(); err != nil {
		log.Fatal(err)
	}
	_, err = stream.Recv()
	fmt.Println(errors.Is(err, io.EOF))
	// Output:
	// Hello, Ada
	// Hello, Grace
	// true
}

// Calls fail with gRPC status errors, which come from the handler or from the
// transport.
func ExampleConn_Invoke_errors() {
	ctx := context.Background()
	conn, closeAll := openGreeter(ctx)
	defer closeAll()
	client := greeterpb.NewGreeterClient(conn)

	_, err := client.SayHello(ctx, &greeterpb.SayHelloRequest{})
	fmt.Println(status.Code(err), "-", status.Convert(err).Message())

	expired, cancel := context.WithDeadline(ctx, time.Now())
	defer cancel()
	_, err = client.SayHello(expired, &greeterpb.SayHelloRequest{Name: "Ada"})
	fmt.Println(status.Code(err))

	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println(status.Code(err), "-", status.Convert(err).Message())
	// Output:
	// InvalidArgument - the name is empty
	// DeadlineExceeded
	// Unimplemented - unknown service grpc.health.v1.Health
}

// Without protobuf, Go values travel as JSON.
func ExampleHandle() {
	type sum struct{ A, B int }
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	srv, err := rpc.NewServer(ctx, p, "calculator")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Stop()
	rpc.Handle(srv, "Calculator/Add", func(_ context.Context, in sum) (int, error) { return in.A + in.B, nil })
	if err := srv.Listen(ctx); err != nil { // from now on, calls wait until Serve runs
		log.Fatal(err)
	}
	go srv.Serve(ctx)

	conn, err := rpc.Dial(ctx, p, "calculator")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	total, err := rpc.Call[sum, int](ctx, conn, "Calculator/Add", sum{A: 2, B: 3})
	fmt.Println(total, err)
	// Output: 5 <nil>
}

// The errors of Call are gRPC status errors.
func ExampleCall() {
	ctx := context.Background()
	conn, closeAll := openGreeter(ctx)
	defer closeAll()
	reply, err := rpc.Call[string, string](ctx, conn, "greeter.v1.Greeter/SayGoodbye", "Ada")
	fmt.Printf("%q %v\n", reply, status.Code(err))
	// Output: "" Unimplemented
}

// A requirement that does not hold fails at the program's start, and not in a call.
func ExampleRequire() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	_, err = rpc.Dial(ctx, p, "greeter", rpc.Require(rpc.FlowControl, rpc.Directory))
	fmt.Println(errors.Is(err, fairlead.Unsupported))
	fmt.Println(strings.Contains(err.Error(), "rpc.Directory"))
	// Output:
	// true
	// true
}

// Over a directory, calls are plain gRPC to the address that the server
// registers. The program is the same.
func ExampleListenAt() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://?rpc=directory")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	srv, err := rpc.NewServer(ctx, p, "greeter", rpc.Require(rpc.Directory), rpc.ListenAt("127.0.0.1:0"))
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Stop()
	greeterpb.RegisterGreeterServer(srv, greeterServer{})
	if err := srv.Listen(ctx); err != nil { // from now on, calls wait until Serve runs
		log.Fatal(err)
	}
	go srv.Serve(ctx)

	conn, err := rpc.Dial(ctx, p, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	reply, err := greeterpb.NewGreeterClient(conn).SayHello(ctx, &greeterpb.SayHelloRequest{Name: "Grace"})
	fmt.Println(reply.GetText(), err)
	// Output: Hello, Grace <nil>
}

// gRPC's health service works on a Server.
func ExampleServer_RegisterService() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	srv, err := rpc.NewServer(ctx, p, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Stop()
	healthpb.RegisterHealthServer(srv, health.NewServer()) // calls RegisterService
	if err := srv.Listen(ctx); err != nil {                // from now on, calls wait until Serve runs
		log.Fatal(err)
	}
	go srv.Serve(ctx)

	conn, err := rpc.Dial(ctx, p, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	reply, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println(reply.GetStatus(), err)
	// Output: SERVING <nil>
}

// Interceptors are gRPC's own. This one checks a token in the metadata.
func ExampleUnaryInterceptor() {
	ctx := context.Background()
	conn, closeAll := openGreeter(ctx, rpc.UnaryInterceptor(
		func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if token := metadata.ValueFromIncomingContext(ctx, "token"); len(token) != 1 || token[0] != "secret" {
				return nil, status.Error(codes.Unauthenticated, "the token is wrong")
			}
			return next(ctx, req)
		}))
	defer closeAll()
	client := greeterpb.NewGreeterClient(conn)

	_, err := client.SayHello(ctx, &greeterpb.SayHelloRequest{Name: "Ada"})
	fmt.Println(status.Code(err))
	reply, err := client.SayHello(metadata.AppendToOutgoingContext(ctx, "token", "secret"), &greeterpb.SayHelloRequest{Name: "Ada"})
	fmt.Println(reply.GetText(), err)
	// Output:
	// Unauthenticated
	// Hello, Ada <nil>
}
