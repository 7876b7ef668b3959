package conformance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
)

func init() { suites = append(suites, rpcCalls) }

// rpcCalls is the four kinds of call and their messages.
var rpcCalls = []Case{
	{
		Name: "rpc/unary", Facet: fairlead.RPC,
		Rule: "a unary call carries its request and its reply to the byte",
		Run: func(t *T) {
			c := t.served(&service{})
			for _, text := range []string{"text", allBytes(), "\x00", "\xff\xfe", strings.Repeat("x", 10_000)} {
				t.echo(t.patient(), c, text)
			}
		},
	},
	{
		Name: "rpc/empty", Facet: fairlead.RPC,
		Rule: "empty messages arrive, in each of the four kinds of call",
		Run:  rpcEmpty,
	},
	{
		Name: "rpc/large", Facet: fairlead.RPC,
		Rule: "messages of 1 MiB arrive whole, both ways, alone and in a stream",
		Run: func(t *T) {
			const size = 1 << 20
			c := t.served(&service{})
			t.echo(t.patient(), c, strings.Repeat("0123456789abcdef", size/16))
			t.download(c, 4, size)
			t.upload(c, 4, size)
		},
	},
	{
		Name: "rpc/server-stream", Facet: fairlead.RPC,
		Rule: "the messages of a server arrive once, in order, and then its status",
		Run:  func(t *T) { t.download(t.served(&service{}), 100, 100) },
	},
	{
		Name: "rpc/client-stream", Facet: fairlead.RPC,
		Rule: "the messages of a client arrive once, in order, and then their end",
		Run:  func(t *T) { t.upload(t.served(&service{}), 100, 100) },
	},
	{
		Name: "rpc/both-streams", Facet: fairlead.RPC,
		Rule: "a call with many messages both ways carries each once and in order",
		Run:  rpcBothStreams,
	},
	{
		Name: "rpc/long-stream", Facet: fairlead.RPC, Profile: Full, Timeout: 2 * time.Minute,
		Rule: "5,000 messages of a stream arrive once and in order, each way",
		Run: func(t *T) {
			c := t.served(&service{})
			t.download(c, 5000, 1000)
			t.upload(c, 5000, 1000)
		},
	},
	{
		Name: "rpc/server-ends-early", Facet: fairlead.RPC,
		Rule: "a server that ends a call while the client still sends is heard: Send fails with io.EOF, Recv has the status",
		Run:  rpcEndsEarly,
	},
	{
		Name: "rpc/concurrent", Facet: fairlead.RPC,
		Rule: "200 calls at once each get their own answer",
		Run:  func(t *T) { concurrently(t, t.served(&service{}), 200) },
	},
	{
		Name: "rpc/names", Facet: fairlead.RPC,
		Rule: "calls reach the server of the name that was dialled and no other, whatever is alike in the names",
		Run:  rpcNames,
	},
}

// download asks for n messages, and demands them in order.
func (t *T) download(c pb.TestServiceClient, n, size int) {
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

// upload sends n messages, and demands that the server got them in order.
func (t *T) upload(c pb.TestServiceClient, n, size int) {
	out, err := c.StreamingInputCall(t.Context())
	t.Must(err)
	for i := range n {
		if err := out.Send(&pb.StreamingInputCallRequest{Payload: nth(i, size)}); err != nil {
			_, err = out.CloseAndRecv()
			t.Fatalf("sending message %d of %d: %v", i, n, err)
		}
	}
	got, err := out.CloseAndRecv()
	if err != nil || got.AggregatedPayloadSize != int32(n) {
		t.Errorf("the server got %d of %d messages: %v", got.GetAggregatedPayloadSize(), n, err)
	}
}

func rpcEmpty(t *T) {
	c := t.served(&service{upload: func(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
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
	ctx := t.patient()
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

func rpcBothStreams(t *T) {
	const n = 200
	c := t.served(&service{})
	both, err := c.FullDuplexCall(t.patient())
	t.Must(err)
	sending := started(func() error {
		for i := range n {
			if err := both.Send(&pb.StreamingOutputCallRequest{Payload: nth(i, 500)}); err != nil {
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

func rpcEndsEarly(t *T) {
	c := t.served(&service{upload: func(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		if _, err := in.Recv(); err != nil {
			return err
		}
		return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: 1})
	}})
	up, err := c.StreamingInputCall(t.patient())
	t.Must(err)
	t.Must(up.Send(&pb.StreamingInputCallRequest{Payload: payload("the only one")}))
	out := &pb.StreamingInputCallResponse{}
	if err := up.RecvMsg(out); err != nil || out.AggregatedPayloadSize != 1 {
		t.Fatalf("the reply of a server that ended early: %v, %v", out, err)
	}
	if err := up.Send(&pb.StreamingInputCallRequest{}); !errors.Is(err, io.EOF) {
		t.Errorf("Send after the end: %v, want io.EOF", err)
	}
}

// concurrently makes n calls at once.
func concurrently(t *T, c pb.TestServiceClient, n int) {
	ctx := t.patient()
	calls := make([]<-chan error, n)
	for i := range calls {
		calls[i] = started(func() error {
			t.echo(ctx, c, fmt.Sprintf("call %d", i))
			return nil
		})
	}
	for _, done := range calls {
		t.Must(<-done)
	}
}

func rpcNames(t *T) {
	base := t.Name()
	names := []string{base, base + "A", base + "a", base + ".", base + "_", base + "-1", longName(base)}
	for _, name := range names {
		t.serve(t.Provider(), name, named(name))
	}
	for _, name := range names {
		for range 3 {
			if got, err := askName(t.patient(), t.client(t.Provider(), name)); err != nil || got != name {
				t.Errorf("a call of %q reached %q, %v", name, got, err)
			}
		}
	}
}
