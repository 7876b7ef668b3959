package rpc_test

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

const directoryURL = "mem://?rpc=directory"

func succeeds(t testing.TB, c pb.TestServiceClient) func() bool {
	return func() bool {
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		return err == nil
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.Listen("unix", path) // as a killed process leaves it
	check.NoError(t, err)
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	check.NoError(t, left.Close())
	p := open(t, directoryURL)
	serve(t, p, "test", &service{unary: echo}, rpc.ListenAt("unix:"+path))
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	_, err = c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	check.NoError(t, err)
	other, err := rpc.NewServer(t.Context(), p, "test", rpc.ListenAt("unix:"+path))
	check.NoError(t, err)
	defer other.Stop()
	wantProviderError(t, other.Listen(t.Context()), fairlead.Unavailable, "in use")
}

func TestAddressOptions(t *testing.T) {
	p := open(t, directoryURL)
	for what, opt := range map[string]rpc.ServerOption{
		"ListenAt": rpc.ListenAt("nowhere"), "unix:/PATH": rpc.ListenAt("unix:relative"),
		"Advertise": rpc.Advertise(""), "WithTLS": rpc.WithTLS(nil),
	} {
		_, err := rpc.NewServer(t.Context(), p, "test", opt)
		wantProviderError(t, err, fairlead.Invalid, what)
	}
	for _, text := range []string{"", "[]", `{"loadBalancingConfig": 7}`, `{"methodConfig": "x"}`} {
		_, err := rpc.Dial(t.Context(), p, "test", rpc.WithServiceConfig(text))
		wantProviderError(t, err, fairlead.Invalid, "")
	}
	srv, err := rpc.NewServer(t.Context(), p, "test", rpc.ListenAt(":0"))
	check.NoError(t, err)
	defer srv.Stop()
	wantProviderError(t, srv.Listen(t.Context()), fairlead.Invalid, "Advertise")
	serve(t, p, "test", &service{unary: echo}, rpc.ListenAt(":0"), rpc.Advertise("localhost:0"))
	_, err = pb.NewTestServiceClient(dial(t, p, "test")).UnaryCall(t.Context(), &pb.SimpleRequest{})
	check.NoError(t, err)
}

// A carrier refuses options that only a directory takes.
func TestDirectoryOptionsOverCarrier(t *testing.T) {
	p := open(t, "mem://")
	_, err := rpc.Dial(t.Context(), p, "test", rpc.WithServiceConfig("{}"), rpc.WithTLS(&tls.Config{}))
	wantProviderError(t, err, fairlead.Unsupported, "WithServiceConfig, WithTLS")
	_, err = rpc.NewServer(t.Context(), p, "test", rpc.ListenAt("localhost:0"))
	wantProviderError(t, err, fairlead.Unsupported, "ListenAt")
}

func TestMutualTLS(t *testing.T) {
	server, good := certificates(t)
	_, stranger := certificates(t)
	p := open(t, directoryURL)
	serve(t, p, "localhost", &service{unary: echo}, rpc.WithTLS(server)) // the name in the certificate
	for name, c := range map[string]struct {
		opts []rpc.DialOption
		want codes.Code
	}{
		"known":                     {[]rpc.DialOption{rpc.WithTLS(good)}, codes.OK},
		"no TLS":                    {nil, codes.Unavailable},
		"no certificate":            {[]rpc.DialOption{rpc.WithTLS(&tls.Config{RootCAs: good.RootCAs})}, codes.Unavailable},
		"another's certificate":     {[]rpc.DialOption{rpc.WithTLS(&tls.Config{RootCAs: good.RootCAs, Certificates: stranger.Certificates})}, codes.Unavailable},
		"server of another CA":      {[]rpc.DialOption{rpc.WithTLS(&tls.Config{RootCAs: stranger.RootCAs, Certificates: good.Certificates})}, codes.Unavailable},
		"server of another service": {[]rpc.DialOption{rpc.WithTLS(&tls.Config{RootCAs: good.RootCAs, Certificates: good.Certificates, ServerName: "other"})}, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pb.NewTestServiceClient(dial(t, p, "localhost", c.opts...)).UnaryCall(t.Context(), &pb.SimpleRequest{})
			wantCode(t, err, c.want)
		})
	}
}

// certificates returns the TLS configurations of a server and a client that trust
// one authority.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	c, err := testbed.NewCertificates(t.TempDir())
	check.NoError(t, err)
	client, err = c.ClientConfig()
	check.NoError(t, err)
	pair, err := tls.LoadX509KeyPair(c.ServerCert, c.ServerKey)
	check.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: client.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert}, client
}

// A server whose health service reports NOT_SERVING gets no calls.
func TestHealth(t *testing.T) {
	p := open(t, directoryURL)
	var calls [2]atomic.Int64
	var states [2]*health.Server
	for i := range calls {
		srv, err := rpc.NewServer(t.Context(), p, "test")
		check.NoError(t, err)
		pb.RegisterTestServiceServer(srv, &service{unary: func(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			calls[i].Add(1)
			return echo(ctx, in)
		}})
		states[i] = health.NewServer()
		healthpb.RegisterHealthServer(srv, states[i])
		run(t, srv)
	}
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	check.Eventually(t, "both servers get calls", func() bool {
		return succeeds(t, c)() && calls[0].Load() > 0 && calls[1].Load() > 0
	})
	states[0].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	check.Eventually(t, "the server that is not healthy gets no calls", func() bool {
		before := calls[0].Load()
		for range 20 {
			_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
			check.NoError(t, err)
		}
		return calls[0].Load() == before
	})
	states[0].SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	before := calls[0].Load()
	check.Eventually(t, "the server that is healthy again gets calls", func() bool { return succeeds(t, c)() && calls[0].Load() > before })
}

// run serves until the test has ended.
func run(t testing.TB, srv *rpc.Server) {
	t.Helper()
	check.NoError(t, srv.Listen(t.Context()))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	t.Cleanup(func() {
		srv.Stop()
		check.NoError(t, within(t, served))
	})
}

// The service config sets gRPC's retries.
func TestRetryPolicy(t *testing.T) {
	p := open(t, directoryURL)
	var calls atomic.Int64
	serve(t, p, "test", &service{unary: func(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		if calls.Add(1)%3 != 0 {
			return nil, status.Error(codes.Unavailable, "try again")
		}
		return echo(ctx, in)
	}})
	_, err := pb.NewTestServiceClient(dial(t, p, "test")).UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.Unavailable)
	calls.Store(0)
	c := dial(t, p, "test", rpc.WithServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3,
		"initialBackoff": "0.001s", "maxBackoff": "0.01s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`))
	_, err = pb.NewTestServiceClient(c).UnaryCall(t.Context(), &pb.SimpleRequest{})
	check.NoError(t, err)
}

// A busy server gets almost no more calls if the service config says
// least_request. With round_robin it would get half of them.
func TestLeastRequest(t *testing.T) {
	const total = 100
	p := open(t, directoryURL)
	release, answered := make(chan struct{}), make(chan string, 10*total)
	serve(t, p, "test", &service{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		answered <- "busy"
		<-release
		return &pb.SimpleResponse{}, nil
	}})
	serve(t, p, "test", &service{unary: echo})
	c := pb.NewTestServiceClient(dial(t, p, "test", rpc.WithServiceConfig(`{"loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 10}}]}`)))
	var calls sync.WaitGroup
	call := func() string {
		calls.Go(func() {
			if _, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{}); err != nil {
				t.Error(err)
			}
			answered <- "idle"
		})
		return within(t, answered)
	}
	seen := map[string]bool{}
	check.Eventually(t, "the client knows both servers, and one is busy", func() bool {
		seen[call()] = true
		return len(seen) == 2
	})
	busy := 0
	for range total {
		if call() == "busy" {
			busy++
		}
	}
	close(release)
	calls.Wait()
	if busy > total/10 {
		t.Errorf("the busy server got %d of %d calls", busy, total)
	}
}

// A call with WaitForReady waits for the first server.
func TestWaitForReady(t *testing.T) {
	for _, url := range []string{directoryURL} {
		p := open(t, url)
		c := pb.NewTestServiceClient(dial(t, p, "test"))
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unavailable)
		if !strings.Contains(err.Error(), "no server is registered under the name") {
			t.Errorf("the reason is %v", err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{}, grpc.WaitForReady(true))
			ended <- err
		}()
		serve(t, p, "test", &service{unary: echo})
		check.NoError(t, within(t, ended))
	}
}

// gRPC's own services work on a Server of either transport.
func TestReflectionAndHealth(t *testing.T) {
	for _, url := range []string{"mem://", directoryURL} {
		t.Run(url, func(t *testing.T) {
			p := open(t, url)
			srv, err := rpc.NewServer(t.Context(), p, "test")
			check.NoError(t, err)
			pb.RegisterTestServiceServer(srv, &service{unary: echo})
			healthpb.RegisterHealthServer(srv, health.NewServer())
			reflection.Register(srv)
			run(t, srv)
			conn := dial(t, p, "test")
			answer, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
			check.NoError(t, err)
			if answer.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("the health is %v", answer.Status)
			}
			stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
			check.NoError(t, err)
			check.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
			reply, err := stream.Recv()
			check.NoError(t, err)
			var names []string
			for _, s := range reply.GetListServicesResponse().GetService() {
				names = append(names, s.Name)
			}
			if !strings.Contains(strings.Join(names, " "), "grpc.testing.TestService") {
				t.Errorf("the services are %q", names)
			}
			check.NoError(t, stream.CloseSend())
			_, _ = stream.Recv()
		})
	}
}

// address returns the registered address of the only server of a service.
func address(t testing.TB, p fairlead.Provider, name string) string {
	t.Helper()
	w, err := p.(driver.Directory).WatchEndpoints(t.Context(), driver.WatchConfig{Service: name})
	check.NoError(t, err)
	defer w.Close(t.Context())
	all, err := w.Next(t.Context())
	check.NoError(t, err)
	if len(all) != 1 {
		t.Fatalf("the endpoints are %v", all)
	}
	return all[0].Address
}
