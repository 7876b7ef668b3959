// Command greeter is a gRPC server and its client. The URL of a provider is all that
// connects them.
//
//	greeter -url redis://127.0.0.1:6379 serve
//	greeter -url redis://127.0.0.1:6379 hello Ada
//	greeter -url redis://127.0.0.1:6379 chat Ada Grace
//
// It also works with etcd://127.0.0.1:2379, with nats://127.0.0.1:4222, and with
// dapr://127.0.0.1:50001, the sidecar of the app greeter.
//
// With memory as the provider, server and client have to be in one process:
//
//	greeter -url mem:// both Ada
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fairlead.dev"
	"fairlead.dev/examples/greeter/greeterpb"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/rpc"
)

// serviceName is the name that servers serve and clients dial.
const serviceName = "greeter"

func main() {
	url := flag.String("url", "mem://", "the provider's URL")
	name := flag.String("name", "greeter", "the name of the server, which its replies show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, *name, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "greeter:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: greeter [-url URL] [-name NAME] serve | hello NAME… | chat NAME… | both NAME…")

func run(ctx context.Context, url, name string, args []string, out io.Writer) (err error) {
	if len(args) == 0 {
		return errUsage
	}
	var opened fairlead.Closers
	defer func() { err = errors.Join(err, opened.CloseWithin(10*time.Second)) }()
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return err
	}
	opened.Add(p)
	switch names := args[1:]; args[0] {
	case "serve":
		return serve(ctx, p, name, out)
	case "hello":
		return hello(ctx, p, names, out)
	case "chat":
		return chat(ctx, p, names, out)
	case "both":
		return both(ctx, p, name, names, out)
	default:
		return errUsage
	}
}

// greeter implements the generated interface, as over any gRPC.
type greeter struct {
	greeterpb.UnimplementedGreeterServer
	name string
}

func (g greeter) SayHello(_ context.Context, in *greeterpb.SayHelloRequest) (*greeterpb.SayHelloResponse, error) {
	return &greeterpb.SayHelloResponse{Text: "Hello, " + in.Name, Server: g.name}, nil
}

func (g greeter) Chat(stream greeterpb.Greeter_ChatServer) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = stream.Send(&greeterpb.ChatResponse{Text: "Hello, " + in.Name})
		}
		if err != nil {
			return err
		}
	}
}

func newServer(ctx context.Context, p fairlead.Provider, name string) (*rpc.Server, error) {
	srv, err := rpc.NewServer(ctx, p, serviceName)
	if err != nil {
		return nil, err
	}
	greeterpb.RegisterGreeterServer(srv, greeter{name: name})
	return srv, srv.Listen(ctx)
}

// serve serves until the context ends, and then waits for the running calls.
func serve(ctx context.Context, p fairlead.Provider, name string, out io.Writer) error {
	srv, err := newServer(ctx, p, name)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "serving")
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.WithoutCancel(ctx)) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(srv.Close(stopCtx), <-served)
}

// hello makes one unary call for each name.
func hello(ctx context.Context, p fairlead.Provider, names []string, out io.Writer) error {
	conn, err := rpc.Dial(ctx, p, serviceName)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	client := greeterpb.NewGreeterClient(conn)
	for _, n := range names {
		reply, err := client.SayHello(ctx, &greeterpb.SayHelloRequest{Name: n})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s (from %s)\n", reply.Text, reply.Server)
	}
	return nil
}

// chat sends all names in one bidirectional stream.
func chat(ctx context.Context, p fairlead.Provider, names []string, out io.Writer) error {
	conn, err := rpc.Dial(ctx, p, serviceName)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	stream, err := greeterpb.NewGreeterClient(conn).Chat(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := stream.Send(&greeterpb.ChatRequest{Name: n}); err != nil {
			break // Recv returns the reason
		}
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, reply.Text)
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return err // of the call
	}
	return nil
}

// both runs a server and its client in one process.
func both(ctx context.Context, p fairlead.Provider, name string, names []string, out io.Writer) error {
	srv, err := newServer(ctx, p, name)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	err = errors.Join(hello(ctx, p, names, out), chat(ctx, p, names, out), srv.Close(ctx))
	return errors.Join(err, <-served)
}
