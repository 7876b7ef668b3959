package rpccases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/rpc"
)

// optionCases are about call options, and about many calls and stuck calls.
var optionCases = []suite.Case{
	{
		Name: "rpc/compression",
		Rule: "compressed messages arrive byte for byte, both ways, in unary calls and in streams",
		Run:  testCompression,
	},
	{
		Name: "rpc/json",
		Rule: "Go values arrive as JSON, and a failed call has its status",
		Run:  testJSON,
	},
	{
		Name: "rpc/over-limit", Full: true,
		Rule: "a message above the receiver's limit is ResourceExhausted, and the next call works",
		Run:  testOverLimit,
	},
	{
		Name: "rpc/wait-for-ready",
		Rule: "a call with WaitForReady succeeds once there is a server, and ends with its deadline if there is none",
		Run:  testWaitForReady,
	},
	{
		Name: "rpc/details-stream",
		Rule: "the status of a stream that fails after messages has its details",
		Run:  testDetailsStream,
	},
	{
		Name: "rpc/cancel-blocked", Needs: []fairlead.Claim{rpc.FlowControl},
		Rule: "a handler that is blocked in Send by a client that does not read returns when the call is canceled",
		Run:  testCancelBlocked,
	},
	{
		Name: "rpc/many-streams", Full: true, Timeout: 2 * time.Minute,
		Rule: "each of 64 concurrent streams carries 100 messages both ways, once and in order, while the reader of one stream is slow",
		Run:  testManyStreams,
	},
}

func testCompression(t *suite.T) {
	c := dialNewService(t, &service{})
	for _, text := range []string{"", suite.AllBytes(), strings.Repeat("x", 500_000)} {
		out, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{Payload: textPayload(text)}, grpc.UseCompressor(gzip.Name))
		if err != nil || string(out.GetPayload().GetBody()) != text {
			t.Errorf("a compressed call with %d bytes gave %.30q, %v", len(text), out.GetPayload().GetBody(), err)
		}
	}
	both, err := c.FullDuplexCall(t.PatientContext(), grpc.UseCompressor(gzip.Name))
	t.Must(err)
	t.Must(exchangeMessages(t, both, 20, 5000))
}

// exchangeMessages sends n messages, each after the previous one has come back, and
// then ends the call.
func exchangeMessages(t *suite.T, both grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse], n, size int) error {
	for i := range n {
		if err := both.Send(&pb.StreamingOutputCallRequest{Payload: numberedPayload(i, size)}); err != nil {
			_, err = both.Recv()
			return fmt.Errorf("sending message %d: %w", i, err)
		}
		m, err := both.Recv()
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	if err := both.CloseSend(); err != nil {
		return err
	}
	if _, err := both.Recv(); err != io.EOF {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

func testJSON(t *suite.T) {
	type letter struct {
		From string
		Body []byte
		Tags map[string]int
	}
	name := t.Name()
	srv, err := rpc.NewServer(t.Context(), t.Provider(), name)
	t.Must(err)
	rpc.Handle(srv, "Post/Return", func(_ context.Context, in letter) (letter, error) {
		if in.From == "" {
			return in, status.Error(codes.InvalidArgument, "no sender")
		}
		return in, nil
	})
	serveUntilEnd(t, srv)
	conn, err := rpc.Dial(t.Context(), t.Provider(), name)
	t.Must(err)
	t.Cleanup(conn.Close)
	sent := letter{From: "grüße", Body: []byte(suite.AllBytes()), Tags: map[string]int{"a": 1, "": -1}}
	got, err := rpc.Call[letter, letter](t.PatientContext(), conn, "Post/Return", sent)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(sent) {
		t.Errorf("%.200v came back, %v", got, err)
	}
	_, err = rpc.Call[letter, letter](t.PatientContext(), conn, "Post/Return", letter{})
	wantFailure(t, "a call that its handler refuses", err, codes.InvalidArgument, "no sender")
}

func testOverLimit(t *suite.T) {
	const limit = 4 << 20
	c := dialNewService(t, &service{unary: func(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return &pb.SimpleResponse{Payload: numberedPayload(0, int(in.ResponseSize))}, nil
	}})
	_, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{Payload: numberedPayload(0, limit+1)})
	wantStatus(t, "a request above the limit", err, codes.ResourceExhausted)
	_, err = c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{ResponseSize: limit + 1})
	wantStatus(t, "a reply above the limit", err, codes.ResourceExhausted)
	out, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{ResponseSize: limit + 1}, grpc.MaxCallRecvMsgSize(limit+1000))
	if err != nil || len(out.Payload.Body) != limit+1 {
		t.Errorf("a reply of 4 MiB and a byte, which the call allows: %d bytes, %v", len(out.GetPayload().GetBody()), err)
	}
	_, err = c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{ResponseSize: 10})
	t.Must(err)
}

func testWaitForReady(t *suite.T) {
	name := t.Name()
	c := dial(t, t.Provider(), name)
	_, err := c.EmptyCall(t.Within(suite.Quiet), &pb.Empty{}, grpc.WaitForReady(true))
	wantStatus(t, "a call for which no server comes", err, codes.DeadlineExceeded)
	ctx := t.PatientContext()
	waiting := suite.RunInBackground(func() error {
		_, err := c.EmptyCall(ctx, &pb.Empty{}, grpc.WaitForReady(true))
		return err
	})
	time.Sleep(suite.Quiet)
	serve(t, t.Provider(), name, &service{})
	if err := <-waiting; err != nil {
		t.Errorf("a call that waits for the server which came: %v", err)
	}
}

func testDetailsStream(t *suite.T) {
	s, err := status.New(codes.FailedPrecondition, "after messages").WithDetails(&pb.EchoStatus{Code: 7, Message: "detail"})
	t.Must(err)
	c := dialNewService(t, &service{download: func(_ *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
		return errors.Join(out.Send(&pb.StreamingOutputCallResponse{}), out.Send(&pb.StreamingOutputCallResponse{}), s.Err())
	}})
	down, err := c.StreamingOutputCall(t.PatientContext(), &pb.StreamingOutputCallRequest{})
	t.Must(err)
	for range 2 {
		_, err := down.Recv()
		t.Must(err)
	}
	_, err = down.Recv()
	wantStatus(t, "the stream", err, codes.FailedPrecondition)
	got := status.Convert(err).Details()
	if len(got) != 1 || got[0].(interface{ GetMessage() string }).GetMessage() != "detail" {
		t.Errorf("the details are %v", got)
	}
}

func testCancelBlocked(t *suite.T) {
	freed := make(chan struct{})
	c := dialNewService(t, &service{download: func(_ *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
		defer close(freed)
		for i := 0; ; i++ {
			if err := out.Send(&pb.StreamingOutputCallResponse{Payload: numberedPayload(i, flowSize)}); err != nil {
				return err
			}
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	down, err := c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	t.Must(err)
	_, err = down.Recv()
	t.Must(err)
	time.Sleep(suite.Quiet) // it fills the buffers
	cancel()
	t.WantSignal("the handler is freed", freed)
}

func testManyStreams(t *suite.T) {
	const streams, messages = 64, 100
	c := dialNewService(t, &service{})
	var done []<-chan error
	for i := range streams {
		size := 100 + i*37
		both, err := c.FullDuplexCall(t.Context())
		t.Must(err)
		sending := suite.RunInBackground(func() error {
			for n := range messages {
				if err := both.Send(&pb.StreamingOutputCallRequest{Payload: numberedPayload(i*messages+n, size)}); err != nil {
					return fmt.Errorf("sending: %w", err)
				}
			}
			return both.CloseSend()
		})
		done = append(done, suite.RunInBackground(func() error {
			return errors.Join(readInOrder(t, both, i*messages, messages, i == 0), <-sending)
		}))
	}
	for i, d := range done {
		if err := <-d; err != nil {
			t.Errorf("stream %d: %v", i, err)
		}
	}
}

// readInOrder reads messages with n numbers from the first one on, and the end.
func readInOrder(t *suite.T, both grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse], first, n int, slow bool) error {
	for i := range n {
		if slow {
			time.Sleep(time.Millisecond)
		}
		m, err := both.Recv()
		if err == nil {
			err = checkNumber(first+i, m.Payload)
		}
		if err != nil {
			return err
		}
	}
	if _, err := both.Recv(); err != io.EOF {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}
