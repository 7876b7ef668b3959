package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

type greeting struct{ Name, Text string }

func greet(_ context.Context, in greeting) (greeting, error) {
	if in.Name == "" {
		return in, status.Error(codes.InvalidArgument, "no name")
	}
	return greeting{Name: in.Name, Text: "Hello, " + in.Name}, nil
}

func TestHandleAndCall(t *testing.T) {
	for _, url := range []string{"mem://", directoryURL} {
		t.Run(url, func(t *testing.T) {
			p := open(t, url)
			var seen []string
			srv, err := rpc.NewServer(t.Context(), p, "test", rpc.UnaryInterceptor(
				func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
					seen = append(seen, info.FullMethod)
					return next(ctx, req)
				}))
			check.NoError(t, err)
			rpc.Handle(srv, "Greeter/Greet", greet)
			rpc.Handle(srv, "Greeter/Length", func(_ context.Context, in string) (int, error) { return len(in), nil })
			run(t, srv)
			conn := dial(t, p, "test")
			out, err := rpc.Call[greeting, greeting](t.Context(), conn, "Greeter/Greet", greeting{Name: "Ada"})
			check.NoError(t, err)
			if out.Text != "Hello, Ada" || strings.Join(seen, " ") != "/Greeter/Greet" {
				t.Errorf("got %+v through %q", out, seen)
			}
			n, err := rpc.Call[string, int](t.Context(), conn, "/Greeter/Length", "grüße")
			check.NoError(t, err)
			if n != 7 {
				t.Errorf("got %d", n)
			}
			out, err = rpc.Call[greeting, greeting](t.Context(), conn, "Greeter/Greet", greeting{})
			wantCode(t, err, codes.InvalidArgument)
			if out != (greeting{}) {
				t.Errorf("got %+v together with an error", out)
			}
			_, err = rpc.Call[string, string](t.Context(), conn, "Greeter/Greet", "not an object")
			wantCode(t, err, codes.Internal)
			_, err = rpc.Call[string, string](t.Context(), conn, "Greeter/Nothing", "")
			wantCode(t, err, codes.Unimplemented)
		})
	}
}

func TestHandleMistakes(t *testing.T) {
	p := open(t, "mem://")
	srv, err := rpc.NewServer(t.Context(), p, "test")
	check.NoError(t, err)
	pb.RegisterTestServiceServer(srv, &service{})
	rpc.Handle(srv, "Greeter/Greet", greet)
	for _, method := range []string{"Greet", "/Greet", "a/b/c", "/", "Greeter/Greet", "grpc.testing.TestService/Other"} {
		wantPanic(t, method, func() { rpc.Handle(srv, method, greet) })
	}
	wantPanic(t, "nil", func() { rpc.Handle[int, int](srv, "a/b", nil) })
	srv.Stop()
	wantPanic(t, "late", func() { rpc.Handle(srv, "a/b", greet) })
}

// An HTTP client without gRPC can call a method of Handle.
func TestCallByHTTP(t *testing.T) {
	p := open(t, directoryURL)
	srv, err := rpc.NewServer(t.Context(), p, "test", rpc.ListenAt("127.0.0.1:0"), rpc.Advertise("127.0.0.1:0"))
	check.NoError(t, err)
	rpc.Handle(srv, "Greeter/Greet", greet)
	run(t, srv)
	body := []byte(`{"name": "Ada"}`)
	body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address(t, p, "test")+"/Greeter/Greet", bytes.NewReader(body))
	check.NoError(t, err)
	req.Header.Set("Content-Type", "application/grpc+json")
	req.Header.Set("TE", "trailers")
	response, err := (&http.Client{Transport: tr}).Do(req)
	check.NoError(t, err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	check.NoError(t, err)
	if len(got) < 5 || string(got[5:]) != `{"Name":"Ada","Text":"Hello, Ada"}` || response.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got %q, trailers %v", got, response.Trailer)
	}
}

// Compressors and codecs work as over grpc-go, separately and together.
func TestCompressorAndCodec(t *testing.T) {
	overAll(t, &service{unary: echo, duplex: bounce}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		for _, opts := range [][]grpc.CallOption{
			{grpc.UseCompressor(gzip.Name)}, {grpc.CallContentSubtype("json")},
			{grpc.UseCompressor("identity")}, {grpc.UseCompressor(gzip.Name), grpc.CallContentSubtype("json")},
		} {
			in := &pb.SimpleRequest{Payload: payload(100_000)}
			out, err := c.UnaryCall(ctx, in, opts...)
			check.NoError(t, err)
			if !proto.Equal(out.Payload, in.Payload) {
				t.Errorf("%v: the payload of the reply differs from the request", opts)
			}
			stream, err := c.FullDuplexCall(ctx, opts...)
			check.NoError(t, err)
			for _, size := range []int{0, 10_000, 1} {
				check.NoError(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(size)}))
				out, err := stream.Recv()
				check.NoError(t, err)
				if len(out.Payload.GetBody()) != size {
					t.Errorf("%v: the reply has %d bytes, want %d", opts, len(out.Payload.GetBody()), size)
				}
			}
			check.NoError(t, stream.CloseSend())
			if _, err := stream.Recv(); err != io.EOF {
				t.Errorf("%v: got %v after the last message, want EOF", opts, err)
			}
		}
		for _, opt := range []grpc.CallOption{grpc.UseCompressor("none such"), grpc.CallContentSubtype("none")} {
			_, err := c.UnaryCall(ctx, &pb.SimpleRequest{}, opt)
			wantCode(t, err, codes.Internal)
		}
	})
}

// A small message that decompresses to a huge one is refused because of its size.
func TestCompressedBomb(t *testing.T) {
	overAll(t, &service{unary: echo}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: payload(5 << 20)}, grpc.UseCompressor(gzip.Name))
		wantCode(t, err, codes.ResourceExhausted)
	})
}

// TestMessageLimits: every limit of a received or sent message holds to the byte,
// also for compressed messages, at the extremes of its type.
func TestMessageLimits(t *testing.T) {
	in := &pb.SimpleRequest{Payload: payload(100)}
	size := proto.Size(in)
	overAll(t, &service{unary: echo}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		for _, limit := range []int{math.MinInt, -1, 0, 1, size - 1, size, size + 1, math.MaxInt - 1, math.MaxInt} {
			for _, opts := range [][]grpc.CallOption{
				{grpc.MaxCallRecvMsgSize(limit)}, {grpc.MaxCallSendMsgSize(limit)}, {grpc.MaxCallRecvMsgSize(limit), grpc.UseCompressor(gzip.Name)},
			} {
				out, err := c.UnaryCall(ctx, in, opts...)
				if limit < size {
					wantCode(t, err, codes.ResourceExhausted)
				} else if check.NoError(t, err); !proto.Equal(out.Payload, in.Payload) {
					t.Errorf("limit %d, %d options: the reply has a payload of %d bytes", limit, len(opts), len(out.Payload.GetBody()))
				}
			}
		}
	})
}

// A call with WaitForReady waits for a server until its context ends.
func TestCarrierWaitsForReady(t *testing.T) {
	p := open(t, "mem://")
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	short, cancel := context.WithTimeout(t.Context(), 50_000_000)
	defer cancel()
	_, err := c.UnaryCall(short, &pb.SimpleRequest{}, grpc.WaitForReady(true))
	wantCode(t, err, codes.DeadlineExceeded)
	ended := make(chan error, 1)
	go func() {
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{Payload: payload(10)}, grpc.WaitForReady(true))
		ended <- err
	}()
	serve(t, p, "test", &service{unary: echo})
	check.NoError(t, within(t, ended))
}

// token is a credential of one call.
type token struct {
	secure bool
	err    error
}

func (k token) GetRequestMetadata(_ context.Context, uri ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + uri[0]}, k.err
}

func (k token) RequireTransportSecurity() bool { return k.secure }

func TestPerRPCCredentials(t *testing.T) {
	got := make(chan string, 1)
	overAll(t, &service{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		got <- strings.Join(md.Get("authorization"), ",")
		return &pb.SimpleResponse{}, nil
	}}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.PerRPCCredentials(token{}))
		check.NoError(t, err)
		if auth := within(t, got); !strings.HasPrefix(auth, "Bearer https://") || !strings.HasSuffix(auth, "/grpc.testing.TestService") {
			t.Errorf("the handler got the metadata %q", auth)
		}
		_, err = c.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.PerRPCCredentials(token{secure: true}))
		wantCode(t, err, codes.Unauthenticated)
		_, err = c.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.PerRPCCredentials(token{err: net.ErrClosed}))
		wantCode(t, err, codes.Internal)
	})
}

// lateCarrier reports only in Recv that no server listens.
type lateCarrier struct {
	driver.Provider
	opened atomic.Int64
}

func (l *lateCarrier) OpenStream(ctx context.Context, c driver.StreamConfig) (driver.Stream, error) {
	l.opened.Add(1)
	s, err := l.Provider.OpenStream(ctx, c)
	if errors.Is(err, fairlead.Unavailable) {
		return unseenStream{}, nil
	}
	return s, err
}

type unseenStream struct{}

func (unseenStream) Send(context.Context, []driver.Frame) error { return nil }

func (unseenStream) Recv(context.Context) ([]driver.Frame, error) {
	return nil, fairlead.Errorf(fairlead.NotFound, "no server listens")
}

func (unseenStream) Close(context.Context) error { return nil }

// A stream that no server has seen is sent again to the first server, complete and
// in order.
func TestWaitForReadyResends(t *testing.T) {
	p := &lateCarrier{Provider: open(t, "mem://").(driver.Provider)}
	c := pb.NewTestServiceClient(dial(t, p, "test"))
	_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.Unavailable)
	stream, err := c.FullDuplexCall(t.Context(), grpc.WaitForReady(true))
	check.NoError(t, err)
	received := make(chan int, 100)
	go func() {
		defer close(received)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			received <- len(m.Payload.GetBody())
		}
	}()
	for i := range 50 {
		check.NoError(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(i)}))
	}
	check.NoError(t, stream.CloseSend())
	check.Eventually(t, "the call was tried several times", func() bool { return p.opened.Load() > 4 })
	serve(t, p, "test", &service{duplex: bounce})
	for i := range 50 {
		if n := within(t, received); n != i {
			t.Fatalf("message %d has %d bytes", i, n)
		}
	}
	if n, more := <-received; more {
		t.Errorf("got one more message, of %d bytes", n)
	}
}
