package rpccases

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/rpc"
)

// statusCases are about the data beside the messages: status, metadata, deadlines.
var statusCases = []suite.Case{
	{
		Name: "rpc/codes",
		Rule: "all 16 failure codes arrive, each with its message in any script and length, in unary calls and streams",
		Run:  testCodes,
	},
	{
		Name: "rpc/details",
		Rule: "the details of a status arrive, in their order",
		Run:  testDetails,
	},
	{
		Name: "rpc/metadata-in",
		Rule: "the client's metadata reaches the handler: several values of a name in order, any bytes under a name that ends in -bin",
		Run:  testMetadataIn,
	},
	{
		Name: "rpc/metadata-out",
		Rule: "headers and trailers reach the client in unary calls and streams; trailers also reach it with a failure",
		Run:  testMetadataOut,
	},
	{
		Name: "rpc/deadline",
		Rule: "the client's deadline reaches the handler, and when it passes, both ends end",
		Run:  testDeadline,
	},
	{
		Name: "rpc/cancel",
		Rule: "a canceled call ends at once at the client, and the handler's context ends",
		Run:  testCancel,
	},
	{
		Name: "rpc/unimplemented",
		Rule: "a method or service that the server does not have is Unimplemented, and the server still works",
		Run: func(t *suite.T) {
			name := t.Name()
			serve(t, t.Provider(), name, &service{})
			c := dial(t, t.Provider(), name)
			_, err := c.UnimplementedCall(t.PatientContext(), &pb.Empty{})
			wantStatus(t, "a method without an implementation", err, codes.Unimplemented)
			conn, err := rpc.Dial(t.Context(), t.Provider(), name)
			t.Must(err)
			defer conn.Close(t.Context())
			for _, method := range []string{"/grpc.testing.TestService/Nothing", "/no.such.Service/Method"} {
				err = conn.Invoke(t.PatientContext(), method, &pb.Empty{}, &pb.Empty{})
				wantStatus(t, method, err, codes.Unimplemented)
			}
			wantEcho(t, t.PatientContext(), c, "still there")
		},
	},
	{
		Name: "rpc/panic",
		Rule: "a call whose handler panics fails with Internal, and the server still works",
		Run: func(t *suite.T) {
			c := dialNewService(t, &service{unary: func(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
				if in.Payload == nil {
					panic("a handler of a conformance case panics on purpose")
				}
				return &pb.SimpleResponse{Payload: in.Payload}, nil
			}})
			for range 3 {
				_, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{})
				wantStatus(t, "a call whose handler panics", err, codes.Internal)
				wantEcho(t, t.PatientContext(), c, "still there")
			}
		},
	},
}

func testCodes(t *suite.T) {
	fail := func(s *pb.EchoStatus) error { return status.Error(codes.Code(s.GetCode()), s.GetMessage()) }
	c := dialNewService(t, &service{
		unary: func(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			return nil, fail(in.ResponseStatus)
		},
		download: func(in *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
			if err := out.Send(&pb.StreamingOutputCallResponse{}); err != nil {
				return err
			}
			return fail(in.ResponseStatus)
		},
	})
	messages := []string{"plain", "", "grüße, 世界 🔑", "two\nlines\t%20 100%", strings.Repeat("long ", 400)}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want := messages[int(code)%len(messages)]
		_, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(code), Message: want}})
		wantFailure(t, "a unary call", err, code, want)
		down, err := c.StreamingOutputCall(t.PatientContext(), &pb.StreamingOutputCallRequest{ResponseStatus: &pb.EchoStatus{Code: int32(code), Message: want}})
		t.Must(err)
		if _, err := down.Recv(); err != nil {
			t.Errorf("the message before the status %v: %v", code, err)
		}
		_, err = down.Recv()
		wantFailure(t, "a stream", err, code, want)
	}
}

func wantFailure(t *suite.T, what string, err error, code codes.Code, message string) {
	if s := status.Convert(err); s.Code() != code || s.Message() != message {
		t.Errorf("%s: got %v %.60q, want %v %.60q", what, s.Code(), s.Message(), code, message)
	}
}

func testDetails(t *suite.T) {
	details := []*pb.EchoStatus{{Code: 7, Message: "first"}, {Message: "second"}, {Message: strings.Repeat("third", 1000)}}
	s := status.New(codes.FailedPrecondition, "with details")
	for _, d := range details {
		var err error
		s, err = s.WithDetails(d)
		t.Must(err)
	}
	c := dialNewService(t, &service{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) { return nil, s.Err() }})
	_, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{})
	wantFailure(t, "the call", err, codes.FailedPrecondition, "with details")
	got := status.Convert(err).Details()
	if len(got) != len(details) {
		t.Fatalf("%d of %d details came", len(got), len(details))
	}
	for i, want := range details {
		if m, ok := got[i].(*pb.EchoStatus); !ok || !proto.Equal(m, want) {
			t.Errorf("detail %d is %.100v", i, got[i])
		}
	}
}

// metadataOfEveryKind is metadata of every kind.
func metadataOfEveryKind(from string) metadata.MD {
	return metadata.Pairs(
		"repeated", from+" 1", "single", "x", "repeated", from+" 2", "repeated", "", "repeated", from+" 1",
		"bytes-bin", suite.AllBytes(), "bytes-bin", "\x00", "bytes-bin", "", "with.dot_and-dash", "~ !\"#$%&'()*+,;=",
		"long", strings.Repeat("v", 2000))
}

func wantFields(t *suite.T, what string, got metadata.MD, from string) {
	for name, want := range metadataOfEveryKind(from) {
		if !slices.Equal(got.Get(name), want) {
			t.Errorf("%s: %q has the values %.100q, want %.100q", what, name, got.Get(name), want)
		}
	}
}

func testMetadataIn(t *suite.T) {
	check := func(ctx context.Context) {
		md, _ := metadata.FromIncomingContext(ctx)
		wantFields(t, "at the handler", md, "client")
	}
	c := dialNewService(t, &service{
		unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			check(ctx)
			return &pb.SimpleResponse{}, nil
		},
		download: func(_ *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
			check(out.Context())
			return nil
		},
	})
	ctx := metadata.NewOutgoingContext(t.PatientContext(), metadataOfEveryKind("client"))
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{})
	t.Must(err)
	down, err := c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	t.Must(err)
	_, _ = down.Recv()
}

func testMetadataOut(t *suite.T) {
	c := dialNewService(t, &service{
		unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			if err := suite.FirstError(grpc.SetHeader(ctx, metadataOfEveryKind("header")), grpc.SetTrailer(ctx, metadataOfEveryKind("trailer"))); err != nil {
				return nil, err
			}
			return nil, status.Error(codes.Aborted, "on purpose")
		},
		download: func(_ *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
			out.SetTrailer(metadataOfEveryKind("trailer"))
			if err := out.SendHeader(metadataOfEveryKind("header")); err != nil {
				return err
			}
			return out.Send(&pb.StreamingOutputCallResponse{})
		},
	})
	var header, trailer metadata.MD
	_, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	wantStatus(t, "the call", err, codes.Aborted)
	wantFields(t, "headers of a unary call", header, "header")
	wantFields(t, "trailers of a unary call", trailer, "trailer")
	down, err := c.StreamingOutputCall(t.PatientContext(), &pb.StreamingOutputCallRequest{})
	t.Must(err)
	header, err = down.Header()
	t.Must(err)
	wantFields(t, "headers of a stream", header, "header")
	for err == nil {
		_, err = down.Recv()
	}
	wantFields(t, "trailers of a stream", down.Trailer(), "trailer")
}

func testDeadline(t *suite.T) {
	left := make(chan time.Duration, 1)
	ended := make(chan struct{})
	c := dialNewService(t, &service{
		unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			deadline, ok := ctx.Deadline()
			if !ok {
				deadline = time.Time{}
			}
			left <- time.Until(deadline)
			return &pb.SimpleResponse{}, nil
		},
		download: func(_ *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
			select {
			case <-out.Context().Done():
				close(ended)
			case <-t.Context().Done():
			}
			return out.Context().Err()
		},
	})
	_, err := c.UnaryCall(t.Within(time.Minute), &pb.SimpleRequest{})
	t.Must(err)
	if d := <-left; d > time.Minute || d < 20*time.Second {
		t.Errorf("the handler has %v left; the caller has at most %v", d, time.Minute)
	}
	down, err := c.StreamingOutputCall(t.Within(500*time.Millisecond), &pb.StreamingOutputCallRequest{})
	if err == nil {
		_, err = down.Recv()
	}
	wantStatus(t, "a call beyond its deadline", err, codes.DeadlineExceeded)
	t.WantSignal("the handler's context ends with the deadline", ended)
}

func testCancel(t *suite.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	c := dialNewService(t, &service{duplex: waitForCancel(t, begun, ended)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	both, err := c.FullDuplexCall(ctx)
	t.Must(err)
	t.Must(both.Send(&pb.StreamingOutputCallRequest{}))
	wantBegun(t, begun)
	cancel()
	done := suite.RunInBackground(func() error { _, err := both.Recv(); return err })
	select {
	case err := <-done:
		wantStatus(t, "the canceled call", err, codes.Canceled)
	case <-time.After(t.Soon()):
		t.Errorf("the canceled call has not ended after %v", t.Soon())
	}
	t.WantSignal("the handler's context ends with the cancellation", ended)
}
