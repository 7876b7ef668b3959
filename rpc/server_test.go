package rpc_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

func TestPanicAndGoexit(t *testing.T) {
	var streams atomic.Int32
	impl := &service{
		unary: func(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			switch in.ResponseSize {
			case 1:
				panic("on purpose")
			case 2:
				runtime.Goexit()
			}
			return &pb.SimpleResponse{}, nil
		},
		duplex: func(duplexServer) error { // by turns
			if streams.Add(1)%2 == 0 {
				runtime.Goexit()
			}
			panic(io.EOF)
		},
	}
	for name, dial := range map[string]func(testing.TB, pb.TestServiceServer) *rpc.Conn{"memory": dialMemory, "frames": dialFrames, "directory": dialDirectory} {
		t.Run(name, func(t *testing.T) { survives(t, pb.NewTestServiceClient(dial(t, impl))) })
	}
}

// survives checks that a handler which panics or exits its goroutine fails only its
// own call.
func survives(t *testing.T, c pb.TestServiceClient) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for how := range int32(3) {
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: how})
		want := codes.Internal
		if how == 0 {
			want = codes.OK
		}
		wantCode(t, err, want)
	}
	for range 2 {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		_, err = stream.Recv()
		wantCode(t, err, codes.Internal)
	}
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{})
	check.NoError(t, err)
}

func TestNoServer(t *testing.T) {
	p := open(t, "mem://")
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.Unavailable)
	_, err = c.FullDuplexCall(t.Context())
	wantCode(t, err, codes.Unavailable)

	srv := serve(t, p, "test", &service{unary: echo})
	serve(t, p, "other", &service{})
	_, err = c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	check.NoError(t, err)
	srv.Stop()
	_, err = c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.Unavailable)
}

// A call just after Dial waits for a server that is about to serve, as a call of
// gRPC waits while a connection is CONNECTING.
func TestCallWhileConnecting(t *testing.T) {
	for name, open := range map[string]func() fairlead.Provider{
		"carrier":   func() fairlead.Provider { return open(t, "mem://") },
		"directory": func() fairlead.Provider { return open(t, "mem://?rpc=directory") },
	} {
		t.Run(name, func(t *testing.T) {
			p := open()
			client := pb.NewTestServiceClient(dial(t, p, "late"))
			answered := make(chan error, 1)
			go func() {
				_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
				answered <- err
			}()
			select {
			case err := <-answered:
				t.Fatalf("the call did not wait: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			serve(t, p, "late", &service{unary: echo})
			check.NoError(t, within(t, answered))
		})
	}
}

// Calls are spread over the servers of a name, in several providers of one backend.
// A server that was stopped gets no more calls.
func TestLoadBalancing(t *testing.T) {
	p, other := open(t, "mem://balancing"), open(t, "mem://balancing")
	var counts [3]atomic.Int32
	var servers [3]*rpc.Server
	for i, at := range []fairlead.Provider{p, p, other} {
		servers[i] = serve(t, at, "test", &service{unary: func(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			counts[i].Add(1)
			return echo(ctx, in)
		}})
	}
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	call := func(n int) {
		for range n {
			_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
			check.NoError(t, err)
		}
	}
	call(30)
	for i := range counts {
		if n := counts[i].Load(); n != 10 {
			t.Errorf("server %d got %d of 30 calls", i, n)
		}
	}
	check.NoError(t, servers[0].Close(t.Context()))
	call(30)
	if counts[0].Load() != 10 || counts[1].Load() != 25 || counts[2].Load() != 25 {
		t.Errorf("after a server was stopped: %d, %d, %d", counts[0].Load(), counts[1].Load(), counts[2].Load())
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, proceed := make(chan struct{}), make(chan struct{})
		p := open(t, "mem://")
		srv := serve(t, p, "test", &service{unary: func(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			close(began)
			<-proceed
			return echo(ctx, in)
		}})
		c := pb.NewTestServiceClient(dial(t, p, "test"))
		called := make(chan error, 1)
		go func() {
			_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
			called <- err
		}()
		<-began
		stopped := make(chan error, 1)
		go func() { stopped <- srv.Close(t.Context()) }()
		synctest.Wait()
		if len(stopped) > 0 {
			t.Fatal("Close did not wait for the call")
		}
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unavailable)
		close(proceed)
		check.NoError(t, <-called)
		check.NoError(t, <-stopped)
	})
}

func TestCloseEndsWithContext(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	p := open(t, "mem://")
	srv := serve(t, p, "test", lingering(began, ended))
	stream, err := pb.NewTestServiceClient(dial(t, p, "test")).FullDuplexCall(t.Context())
	check.NoError(t, err)
	within(t, began)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	within(t, ended)
	_, err = stream.Recv()
	wantCode(t, err, codes.Unavailable)
}

// The callers of a stopped server get Unavailable at once, also if the handler
// ignores its context.
func TestStop(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	p := open(t, "mem://")
	srv := serve(t, p, "test", &service{duplex: func(duplexServer) error {
		began <- struct{}{}
		<-release
		return nil
	}})
	stream, err := pb.NewTestServiceClient(dial(t, p, "test")).FullDuplexCall(t.Context())
	check.NoError(t, err)
	within(t, began)
	srv.Stop()
	_, err = stream.Recv()
	wantCode(t, err, codes.Unavailable)
	close(release)
}

func TestServeEndsWithContext(t *testing.T) {
	p := open(t, "mem://")
	srv, err := rpc.NewServer(t.Context(), p, "test")
	check.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	check.NoError(t, srv.Listen(ctx))
	check.NoError(t, srv.Listen(ctx))
	go func() { served <- srv.Serve(ctx) }()
	cancel()
	if err := within(t, served); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if err := srv.Listen(t.Context()); !errors.Is(err, fairlead.Closed) {
		t.Errorf("Listen after Serve has returned: got %v, want Closed", err)
	}
	check.NoError(t, srv.Serve(t.Context()))
}

func TestServeTwice(t *testing.T) {
	p := open(t, "mem://")
	srv := serve(t, p, "test", &service{unary: echo})
	_, err := pb.NewTestServiceClient(dial(t, p, "test")).UnaryCall(t.Context(), &pb.SimpleRequest{})
	check.NoError(t, err) // so the first Serve runs
	if err := srv.Serve(t.Context()); !errors.Is(err, fairlead.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
}

// When a provider is closed, its calls end, and no caller is left waiting.
func TestProviderCloses(t *testing.T) {
	for _, closes := range []string{"client", "server"} {
		t.Run(closes, func(t *testing.T) {
			began, ended := make(chan struct{}, 1), make(chan error, 1)
			ps := map[string]fairlead.Provider{"client": open(t, "mem://closes"), "server": open(t, "mem://closes")}
			srv, err := rpc.NewServer(t.Context(), ps["server"], "test")
			check.NoError(t, err)
			pb.RegisterTestServiceServer(srv, lingering(began, ended))
			check.NoError(t, srv.Listen(t.Context()))
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			stream, err := pb.NewTestServiceClient(dial(t, ps["client"], "test")).FullDuplexCall(t.Context())
			check.NoError(t, err)
			within(t, began)
			check.NoError(t, ps[closes].Close(t.Context()))
			within(t, ended)
			_, err = stream.Recv()
			wantCode(t, err, codes.Unavailable)
			if closes == "server" {
				if err := within(t, served); !errors.Is(err, fairlead.Closed) {
					t.Errorf("Serve returned %v, want Closed", err)
				}
			}
			srv.Stop()
		})
	}
}

func TestConnCloses(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	p := open(t, "mem://")
	serve(t, p, "test", lingering(began, ended))
	conn := dial(t, p, "test")
	c := pb.NewTestServiceClient(conn)
	stream, err := c.FullDuplexCall(t.Context())
	check.NoError(t, err)
	within(t, began)
	check.NoError(t, conn.Close(t.Context()))
	if err := within(t, ended); err != context.Canceled {
		t.Errorf("the handler's context ended with %v", err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.Canceled)
	_, err = c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.Canceled)
}

// unavailable is a provider whose listener cannot accept calls at first.
type unavailable struct {
	driver.Provider
	attempts atomic.Int32
}

func (u *unavailable) Listen(ctx context.Context, c driver.ListenConfig) (driver.Listener, error) {
	l, err := u.Provider.Listen(ctx, c)
	return unavailableListener{l, u}, err
}

type unavailableListener struct {
	driver.Listener
	provider *unavailable
}

func (l unavailableListener) Accept(ctx context.Context) (driver.Incoming, error) {
	if l.provider.attempts.Add(1) <= 3 {
		return driver.Incoming{}, fairlead.Errorf(fairlead.Unavailable, "the backend is unavailable")
	}
	return l.Listener.Accept(ctx)
}

func TestBackendUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &unavailable{Provider: open(t, "mem://").(driver.Provider)}
		serve(t, p, "test", &service{unary: echo})
		_, err := pb.NewTestServiceClient(dial(t, p, "test")).UnaryCall(t.Context(), &pb.SimpleRequest{})
		check.NoError(t, err)
	})
}

func TestRegisterMistakes(t *testing.T) {
	p := open(t, "mem://")
	srv, err := rpc.NewServer(t.Context(), p, "test")
	check.NoError(t, err)
	defer srv.Stop()
	wantPanic(t, "wrong type", func() { srv.RegisterService(&pb.TestService_ServiceDesc, "no service") })
	pb.RegisterTestServiceServer(srv, &service{})
	wantPanic(t, "twice", func() { pb.RegisterTestServiceServer(srv, &service{}) })
	check.NoError(t, srv.Listen(t.Context()))
	wantPanic(t, "late", func() { srv.RegisterService(&grpc.ServiceDesc{ServiceName: "late"}, nil) })
}

func wantPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
