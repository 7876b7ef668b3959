package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"fairlead.dev/internal/dev/check"
)

// The aliases keep the signatures of handlers on one line.
type (
	outputServer = grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]
	inputServer  = grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]
	duplexServer = grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]
)

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

func echo(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: in.Payload}, nil
}

func TestUnary(t *testing.T) {
	overAll(t, &service{unary: echo}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		for _, size := range []int{0, 1, 1 << 10, 300 << 10, 3 << 20} {
			body := bytes.Repeat([]byte{byte(size), 0xff}, size)[:size]
			out, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: body}})
			check.NoError(t, err)
			if !bytes.Equal(out.Payload.GetBody(), body) {
				t.Fatalf("a body of %d bytes came back changed", size)
			}
		}
	})
}

func TestStreamingOutput(t *testing.T) {
	impl := &service{output: func(in *pb.StreamingOutputCallRequest, out outputServer) error {
		for _, p := range in.ResponseParameters {
			if err := out.Send(&pb.StreamingOutputCallResponse{Payload: payload(int(p.Size))}); err != nil {
				return err
			}
		}
		return nil
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		in := &pb.StreamingOutputCallRequest{}
		for i := range 500 {
			in.ResponseParameters = append(in.ResponseParameters, &pb.ResponseParameters{Size: int32(i * 10)})
		}
		stream, err := c.StreamingOutputCall(ctx, in)
		check.NoError(t, err)
		for i := range 500 {
			out, err := stream.Recv()
			check.NoError(t, err)
			if got := len(out.Payload.Body); got != i*10 {
				t.Fatalf("message %d has %d bytes", i, got)
			}
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatalf("got %v after the last message, want EOF", err)
		}
	})
}

func sum(in inputServer) error {
	total := int32(0)
	for {
		m, err := in.Recv()
		if err == io.EOF {
			return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: total})
		}
		if err != nil {
			return err
		}
		total += int32(len(m.Payload.GetBody()))
	}
}

func TestStreamingInput(t *testing.T) {
	overAll(t, &service{input: sum}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.StreamingInputCall(ctx)
		check.NoError(t, err)
		for range 100 {
			check.NoError(t, stream.Send(&pb.StreamingInputCallRequest{Payload: payload(10_000)}))
		}
		out, err := stream.CloseAndRecv()
		check.NoError(t, err)
		if out.AggregatedPayloadSize != 1_000_000 {
			t.Fatalf("the server got %d bytes", out.AggregatedPayloadSize)
		}
	})
}

func bounce(both duplexServer) error {
	for {
		in, err := both.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := both.Send(&pb.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

func TestPingPong(t *testing.T) {
	overAll(t, &service{duplex: bounce}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		for i := range 100 {
			check.NoError(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(i)}))
			out, err := stream.Recv()
			check.NoError(t, err)
			if len(out.Payload.GetBody()) != i {
				t.Fatalf("reply %d has %d bytes", i, len(out.Payload.GetBody()))
			}
		}
		check.NoError(t, stream.CloseSend())
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
	})
}

// Each direction continues after the other one was closed.
func TestHalfClose(t *testing.T) {
	impl := &service{duplex: func(both duplexServer) error {
		if _, err := both.Recv(); err != io.EOF {
			return fmt.Errorf("got %v, want EOF", err)
		}
		for range 3 {
			if err := both.Send(&pb.StreamingOutputCallResponse{}); err != nil {
				return err
			}
		}
		return nil
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		check.NoError(t, stream.CloseSend())
		for range 3 {
			_, err := stream.Recv()
			check.NoError(t, err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
	})
}

func TestSendAfterCloseSend(t *testing.T) {
	overAll(t, &service{duplex: bounce}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		check.NoError(t, stream.CloseSend())
		check.NoError(t, stream.CloseSend())
		wantCode(t, stream.Send(&pb.StreamingOutputCallRequest{}), codes.Internal)
	})
}

// A client that sends after the server has ended the call gets EOF from Send, and
// the status from Recv.
func TestSendAfterEnd(t *testing.T) {
	impl := &service{duplex: func(duplexServer) error { return status.Error(codes.Aborted, "enough") }}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		for err == nil {
			err = stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(1000)})
		}
		if err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
		_, err = stream.Recv()
		wantCode(t, err, codes.Aborted)
	})
}

func TestStatus(t *testing.T) {
	detailed, err := status.New(codes.ResourceExhausted, "all gone ✓").WithDetails(durationpb.New(3 * time.Second))
	check.NoError(t, err)
	errs := map[codes.Code]error{
		codes.Unknown:           errors.New("no status"),
		codes.Canceled:          context.Canceled,
		codes.DeadlineExceeded:  fmt.Errorf("wrapped: %w", context.DeadlineExceeded),
		codes.ResourceExhausted: detailed.Err(),
	}
	for c := codes.InvalidArgument; c <= codes.Unauthenticated; c++ {
		if errs[c] == nil {
			errs[c] = status.Error(c, "message of "+c.String())
		}
	}
	impl := &service{unary: func(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return nil, errs[codes.Code(in.ResponseSize)]
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		for code, sent := range errs {
			_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: int32(code)})
			wantCode(t, err, code)
			want := status.Convert(sent).Message()
			if got := status.Convert(err); got.Message() != want {
				t.Errorf("%v: got the message %q, want %q", code, got.Message(), want)
			}
		}
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: int32(codes.ResourceExhausted)})
		details := status.Convert(err).Details()
		if len(details) != 1 || details[0].(*durationpb.Duration).Seconds != 3 {
			t.Errorf("got the details %v", details)
		}
	})
}

func TestMetadata(t *testing.T) {
	got := make(chan metadata.MD, 1)
	impl := &service{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		got <- md
		_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1", "raw-bin", "\x00\xff"))
		_ = grpc.SetHeader(ctx, metadata.Pairs("h", "2"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1", "t", "2", "t", "1"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("last-bin", "\xfe"))
		return nil, status.Error(codes.NotFound, "with metadata all the same")
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		ctx = metadata.AppendToOutgoingContext(ctx, "Many", "b", "many", "a", "many", "b", "raw-bin", "\x00\x01", "grpc-status", "7")
		var header, trailer metadata.MD
		var from peer.Peer
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from))
		wantCode(t, err, codes.NotFound)
		md := within(t, got)
		wantValues(t, md, "many", "b", "a", "b")
		wantValues(t, md, "raw-bin", "\x00\x01")
		wantValues(t, md, "grpc-status")
		wantValues(t, header, "h", "1", "2")
		wantValues(t, header, "raw-bin", "\x00\xff")
		wantValues(t, trailer, "t", "1", "2", "1")
		wantValues(t, trailer, "last-bin", "\xfe")
		if from.Addr == nil {
			t.Error("no peer")
		}
	})
}

func wantValues(t *testing.T, md metadata.MD, name string, want ...string) {
	t.Helper()
	if got := md.Get(name); !slices.Equal(got, want) {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

func TestBadMetadata(t *testing.T) {
	overAll(t, &service{unary: echo}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		for _, md := range []metadata.MD{{"sp ace": {"v"}}, {"": {"v"}}, {"name": {"new\nline"}}} {
			_, err := c.UnaryCall(metadata.NewOutgoingContext(ctx, md), &pb.SimpleRequest{})
			wantCode(t, err, codes.Internal)
		}
	})
}

// Headers of a stream come before any message; later ones are refused.
func TestStreamHeaders(t *testing.T) {
	proceed := make(chan struct{})
	late := make(chan error, 1)
	impl := &service{duplex: func(both duplexServer) error {
		_ = both.SetHeader(metadata.Pairs("a", "1"))
		if err := both.SendHeader(metadata.Pairs("b", "2")); err != nil {
			return err
		}
		late <- both.SetHeader(metadata.Pairs("c", "3"))
		both.SetTrailer(metadata.Pairs("end", "yes"))
		<-proceed
		return nil
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		md, err := stream.Header()
		check.NoError(t, err)
		wantValues(t, md, "a", "1")
		wantValues(t, md, "b", "2")
		wantCode(t, within(t, late), codes.Internal)
		proceed <- struct{}{}
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
		wantValues(t, stream.Trailer(), "end", "yes")
	})
}

// A call that ends without headers has none, and that is no error.
func TestNoHeaders(t *testing.T) {
	impl := &service{duplex: func(duplexServer) error { return status.Error(codes.DataLoss, "") }}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		stream, err := c.FullDuplexCall(ctx)
		check.NoError(t, err)
		if _, err := stream.Header(); err != nil {
			t.Fatalf("Header failed with %v, want no error", err)
		}
		_, err = stream.Recv()
		wantCode(t, err, codes.DataLoss)
	})
}

func TestUnimplemented(t *testing.T) {
	overAll(t, &service{}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		_, err := c.EmptyCall(ctx, &pb.Empty{}) // its service is registered without a handler for it
		wantCode(t, err, codes.Unimplemented)
	})
	for name, conn := range map[string]grpc.ClientConnInterface{"fairlead": dialMemory(t, &service{}), "grpc-go": dialGRPC(t, &service{})} {
		t.Run(name, func(t *testing.T) {
			_, err := pb.NewUnimplementedServiceClient(conn).UnimplementedCall(t.Context(), &pb.Empty{})
			wantCode(t, err, codes.Unimplemented)
			err = conn.Invoke(t.Context(), "/grpc.testing.TestService/Nothing", &pb.Empty{}, &pb.Empty{})
			wantCode(t, err, codes.Unimplemented)
			err = conn.Invoke(t.Context(), "nothing", &pb.Empty{}, &pb.Empty{})
			wantCode(t, err, codes.Unimplemented)
		})
	}
}

func TestMessageTooLarge(t *testing.T) {
	overAll(t, &service{unary: echo}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		in := &pb.SimpleRequest{Payload: payload(1000)}
		_, err := c.UnaryCall(ctx, in, grpc.MaxCallRecvMsgSize(500))
		wantCode(t, err, codes.ResourceExhausted)
		_, err = c.UnaryCall(ctx, in, grpc.MaxCallSendMsgSize(500))
		wantCode(t, err, codes.ResourceExhausted)
		_, err = c.UnaryCall(ctx, &pb.SimpleRequest{Payload: payload(5 << 20)})
		wantCode(t, err, codes.ResourceExhausted)
		_, err = c.UnaryCall(ctx, in)
		check.NoError(t, err)
	})
}

// lingering returns handlers of every kind. They signal that they have begun, wait
// for the end of their context, and send the reason why it ended.
func lingering(began chan<- struct{}, ended chan<- error) *service {
	linger := func(ctx context.Context) error {
		began <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	return &service{
		unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			return nil, linger(ctx)
		},
		output: func(_ *pb.StreamingOutputCallRequest, out outputServer) error { return linger(out.Context()) },
		input:  func(in inputServer) error { return linger(in.Context()) },
		duplex: func(both duplexServer) error { return linger(both.Context()) },
	}
}

func TestDeadline(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	overAll(t, lingering(began, ended), func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{})
		wantCode(t, err, codes.DeadlineExceeded)
		within(t, began)
		within(t, ended) // either error: the server may learn of the caller's giving up first
		_, err = c.UnaryCall(ctx, &pb.SimpleRequest{})
		wantCode(t, err, codes.DeadlineExceeded)
	})
}

func TestDeadlineReachesHandler(t *testing.T) {
	got := make(chan time.Duration, 1)
	impl := &service{unary: func(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			got <- 0
		} else {
			got <- time.Until(deadline)
		}
		return &pb.SimpleResponse{}, nil
	}}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{})
		check.NoError(t, err)
		if left := within(t, got); left != 0 {
			t.Errorf("the handler has a deadline in %v, although the caller has none", left)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		_, err = c.UnaryCall(ctx, &pb.SimpleRequest{})
		check.NoError(t, err)
		if left := within(t, got); left <= 50*time.Minute || left > time.Hour {
			t.Errorf("the handler had %v left, want about an hour", left)
		}
	})
}

func TestCancel(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	impl := lingering(began, ended)
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		for name, call := range map[string]func(context.Context) (grpc.ClientStream, error){
			"output": func(ctx context.Context) (grpc.ClientStream, error) {
				return c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
			},
			"input":  func(ctx context.Context) (grpc.ClientStream, error) { return c.StreamingInputCall(ctx) },
			"duplex": func(ctx context.Context) (grpc.ClientStream, error) { return c.FullDuplexCall(ctx) },
		} {
			ctx, cancel := context.WithCancelCause(ctx)
			stream, err := call(ctx)
			check.NoError(t, err)
			within(t, began)
			cancel(errors.New("a reason of the program's own"))
			if err := within(t, ended); err != context.Canceled {
				t.Errorf("%s: the handler's context ended with %v", name, err)
			}
			wantCode(t, stream.RecvMsg(&pb.StreamingOutputCallResponse{}), codes.Canceled)
		}
	})
}

// The end of the call also unblocks a handler in Recv or Send.
func TestCancelFreesBlockedHandler(t *testing.T) {
	began, freed := make(chan struct{}), make(chan error, 1)
	impl := &service{
		input: func(in inputServer) error {
			began <- struct{}{}
			_, err := in.Recv()
			freed <- err
			return err
		},
		output: func(_ *pb.StreamingOutputCallRequest, out outputServer) (err error) {
			began <- struct{}{}
			for err == nil {
				err = out.Send(&pb.StreamingOutputCallResponse{Payload: payload(10_000)})
			}
			freed <- err
			return err
		},
	}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		receiving, cancel := context.WithCancel(ctx)
		_, err := c.StreamingInputCall(receiving)
		check.NoError(t, err)
		within(t, began)
		cancel()
		wantCode(t, within(t, freed), codes.Canceled)

		sending, cancel := context.WithCancel(ctx)
		_, err = c.StreamingOutputCall(sending, &pb.StreamingOutputCallRequest{})
		check.NoError(t, err)
		within(t, began)
		cancel()
		if err := within(t, freed); err == nil {
			t.Error("Send to a caller that gave up does not fail")
		}
	})
}

func TestCallsDoNotMix(t *testing.T) {
	overAll(t, &service{unary: echo}, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		results := make(chan error, 1000)
		for i := range cap(results) {
			go func() {
				body := fmt.Appendf(nil, "call %d", i)
				out, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: body}})
				if err == nil && !bytes.Equal(out.Payload.Body, body) {
					err = fmt.Errorf("%s got the reply %s", body, out.Payload.Body)
				}
				results <- err
			}()
		}
		for range cap(results) {
			check.NoError(t, within(t, results))
		}
	})
}

func TestOnFinish(t *testing.T) {
	impl := &service{duplex: bounce}
	overAll(t, impl, func(t *testing.T, ctx context.Context, c pb.TestServiceClient) {
		finished := make(chan error, 2)
		ctx, cancel := context.WithCancel(ctx)
		stream, err := c.FullDuplexCall(ctx, grpc.OnFinish(func(err error) { finished <- err }))
		check.NoError(t, err)
		check.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		if err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
		check.NoError(t, within(t, finished))
		_, err = c.FullDuplexCall(ctx, grpc.OnFinish(func(err error) { finished <- err }))
		check.NoError(t, err)
		cancel() // the program does nothing more with the stream
		wantCode(t, within(t, finished), codes.Canceled)
	})
}
