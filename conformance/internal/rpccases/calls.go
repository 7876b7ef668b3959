package rpccases

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev/conformance/internal/suite"
)

// callCases are about the four kinds of call and their messages.
var callCases = []suite.Case{
	{
		Name: "rpc/unary",
		Rule: "the request and the reply of a unary call arrive unchanged",
		Run: func(t *suite.T) {
			c := dialNewService(t, &service{})
			for _, text := range []string{"text", suite.AllBytes(), "\x00", "\xff\xfe", strings.Repeat("x", 10_000)} {
				wantEcho(t, t.PatientContext(), c, text)
			}
		},
	},
	{
		Name: "rpc/empty",
		Rule: "empty messages arrive in each of the four kinds of call",
		Run:  testEmpty,
	},
	{
		Name: "rpc/large",
		Rule: "messages of 1 MiB arrive whole, both ways, in unary calls and in streams",
		Run: func(t *suite.T) {
			const size = 1 << 20
			c := dialNewService(t, &service{})
			wantEcho(t, t.PatientContext(), c, strings.Repeat("0123456789abcdef", size/16))
			wantDownload(t, c, 4, size)
			wantUpload(t, c, 4, size)
		},
	},
	{
		Name: "rpc/server-stream",
		Rule: "the messages of a server arrive once and in order, and then its status",
		Run:  func(t *suite.T) { wantDownload(t, dialNewService(t, &service{}), 100, 100) },
	},
	{
		Name: "rpc/client-stream",
		Rule: "the messages of a client arrive once and in order, and then their end",
		Run:  func(t *suite.T) { wantUpload(t, dialNewService(t, &service{}), 100, 100) },
	},
	{
		Name: "rpc/both-streams",
		Rule: "in a call with many messages both ways, each arrives once and in order",
		Run:  testBothStreams,
	},
	{
		Name: "rpc/long-stream", Full: true, Timeout: 2 * time.Minute,
		Rule: "5,000 messages of a stream arrive once and in order, in each direction",
		Run: func(t *suite.T) {
			c := dialNewService(t, &service{})
			wantDownload(t, c, 5000, 1000)
			wantUpload(t, c, 5000, 1000)
		},
	},
	{
		Name: "rpc/server-ends-early",
		Rule: "a client that still sends sees that the server ended the call: Send fails with io.EOF, Recv returns the status",
		Run:  testEndsEarly,
	},
	{
		Name: "rpc/concurrent",
		Rule: "each of 200 concurrent calls gets its own reply",
		Run:  func(t *suite.T) { callConcurrently(t, dialNewService(t, &service{}), 200) },
	},
	{
		Name: "rpc/names",
		Rule: "calls reach the server of the name that was dialled and no other, however similar the names are",
		Run:  testNames,
	},
}

// wantDownload asks for n messages, and demands them in order.
func wantDownload(t *suite.T, c pb.TestServiceClient, n, size int) {
	ask := &pb.StreamingOutputCallRequest{}
	for range n {
		ask.ResponseParameters = append(ask.ResponseParameters, &pb.ResponseParameters{Size: int32(size)})
	}
	in, err := c.StreamingOutputCall(t.Context(), ask)
	t.Must(err)
	for i := range n {
		m, err := in.Recv()
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			t.Fatalf("message %d of %d from the server: %v", i, n, err)
		}
	}
	if m, err := in.Recv(); err != io.EOF {
		t.Errorf("after the last message: %v, %v", m, err)
	}
}

// wantUpload sends n messages, and demands that the server got them in order.
func wantUpload(t *suite.T, c pb.TestServiceClient, n, size int) {
	out, err := c.StreamingInputCall(t.Context())
	t.Must(err)
	for i := range n {
		if err := out.Send(&pb.StreamingInputCallRequest{Payload: numberedPayload(i, size)}); err != nil {
			_, err = out.CloseAndRecv()
			t.Fatalf("sending message %d of %d: %v", i, n, err)
		}
	}
	got, err := out.CloseAndRecv()
	if err != nil || got.AggregatedPayloadSize != int32(n) {
		t.Errorf("the server got %d of %d messages: %v", got.GetAggregatedPayloadSize(), n, err)
	}
}

func testEmpty(t *suite.T) {
	c := dialNewService(t, &service{upload: func(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		n := int32(0)
		for {
			_, err := in.Recv()
			if err == io.EOF {
				return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: n})
			}
			if err != nil {
				return err
			}
			n++
		}
	}})
	ctx := t.PatientContext()
	_, err := c.EmptyCall(ctx, &pb.Empty{})
	t.Must(err)
	down, err := c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{ResponseParameters: make([]*pb.ResponseParameters, 3)})
	t.Must(err)
	got := 0
	for _, err = down.Recv(); err == nil; _, err = down.Recv() {
		got++
	}
	if got != 3 || err != io.EOF {
		t.Errorf("%d of 3 empty messages came from the server, then %v", got, err)
	}
	up, err := c.StreamingInputCall(ctx)
	t.Must(err)
	for range 3 {
		t.Must(up.Send(&pb.StreamingInputCallRequest{}))
	}
	if sum, err := up.CloseAndRecv(); err != nil || sum.AggregatedPayloadSize != 3 {
		t.Errorf("%d of 3 empty messages came to the server: %v", sum.GetAggregatedPayloadSize(), err)
	}
	none, err := c.FullDuplexCall(ctx)
	t.Must(err)
	t.Must(none.CloseSend())
	if m, err := none.Recv(); err != io.EOF {
		t.Errorf("a call without messages gave %v, %v", m, err)
	}
}

func testBothStreams(t *suite.T) {
	const n = 200
	c := dialNewService(t, &service{})
	both, err := c.FullDuplexCall(t.PatientContext())
	t.Must(err)
	sending := suite.RunInBackground(func() error {
		for i := range n {
			if err := both.Send(&pb.StreamingOutputCallRequest{Payload: numberedPayload(i, 500)}); err != nil {
				return err
			}
		}
		return both.CloseSend()
	})
	for i := range n {
		m, err := both.Recv()
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			t.Fatalf("message %d of %d: %v", i, n, err)
		}
	}
	if _, err := both.Recv(); err != io.EOF {
		t.Errorf("after the last message: %v", err)
	}
	t.Must(<-sending)
}

func testEndsEarly(t *suite.T) {
	c := dialNewService(t, &service{upload: func(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		if _, err := in.Recv(); err != nil {
			return err
		}
		return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: 1})
	}})
	up, err := c.StreamingInputCall(t.PatientContext())
	t.Must(err)
	t.Must(up.Send(&pb.StreamingInputCallRequest{Payload: textPayload("the only one")}))
	out := &pb.StreamingInputCallResponse{}
	if err := up.RecvMsg(out); err != nil || out.AggregatedPayloadSize != 1 {
		t.Fatalf("the reply of a server that ended early: %v, %v", out, err)
	}
	if err := up.Send(&pb.StreamingInputCallRequest{}); !errors.Is(err, io.EOF) {
		t.Errorf("Send after the end: %v, want io.EOF", err)
	}
}

// callConcurrently makes n calls at once.
func callConcurrently(t *suite.T, c pb.TestServiceClient, n int) {
	ctx := t.PatientContext()
	calls := make([]<-chan error, n)
	for i := range calls {
		calls[i] = suite.RunInBackground(func() error {
			wantEcho(t, ctx, c, fmt.Sprintf("call %d", i))
			return nil
		})
	}
	for _, done := range calls {
		t.Must(<-done)
	}
}

func testNames(t *suite.T) {
	base := t.Name()
	names := []string{base, base + "A", base + "a", base + ".", base + "_", base + "-1", suite.LongName(base)}
	for _, name := range names {
		serve(t, t.Provider(), name, serviceThatTells(name))
	}
	for _, name := range names {
		for range 3 {
			if got, err := askName(t.PatientContext(), dial(t, t.Provider(), name)); err != nil || got != name {
				t.Errorf("a call of %q reached %q, %v", name, got, err)
			}
		}
	}
}
