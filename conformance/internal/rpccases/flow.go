package rpccases

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/rpc"
)

// The messages that the cases of flow control send, and the most bytes that may
// be in flight. The bound is generous: the claim says only that there is one.
const (
	flowMessages = 1024
	flowSize     = 16 << 10
	flowBound    = 4 << 20
)

// flowCases are about flow control.
var flowCases = []suite.Case{
	{
		Name: "rpc/flow-download", Needs: []fairlead.Claim{rpc.FlowControl},
		Rule: "a client that does not read blocks the server's Send, slows down no other call, and gets all messages in order when it reads",
		Run:  flowDownload,
	},
	{
		Name: "rpc/flow-upload", Needs: []fairlead.Claim{rpc.FlowControl},
		Rule: "a server that does not read blocks the client's Send, slows down no other call, and gets all messages in order when it reads",
		Run:  flowUpload,
	},
}

func flowDownload(t *suite.T) {
	var sent atomic.Int64
	c := dialNewService(t, &service{download: func(_ *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
		for i := range flowMessages {
			if err := out.Send(&pb.StreamingOutputCallResponse{Payload: numberedPayload(i, flowSize)}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}})
	down, err := c.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	t.Must(err)
	wantStalled(t, c, &sent)
	for i := range flowMessages {
		m, err := down.Recv()
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := down.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func flowUpload(t *suite.T) {
	read := make(chan struct{})
	c := dialNewService(t, &service{upload: func(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
		select {
		case <-read:
		case <-in.Context().Done():
			return in.Context().Err()
		}
		return (&service{}).StreamingInputCall(in)
	}})
	up, err := c.StreamingInputCall(t.Context())
	t.Must(err)
	var sent atomic.Int64
	sending := suite.RunInBackground(func() error {
		for i := range flowMessages {
			if err := up.Send(&pb.StreamingInputCallRequest{Payload: numberedPayload(i, flowSize)}); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
			sent.Add(1)
		}
		return nil
	})
	wantStalled(t, c, &sent)
	close(read)
	t.Must(<-sending)
	got, err := up.CloseAndRecv()
	if err != nil || got.AggregatedPayloadSize != flowMessages {
		t.Errorf("the server got %d of %d messages: %v", got.GetAggregatedPayloadSize(), flowMessages, err)
	}
}

// wantStalled waits until a sender whose reader does not read is stopped, and
// demands that this is before the bound, and that other calls still work.
func wantStalled(t *suite.T, c pb.TestServiceClient, sent *atomic.Int64) {
	for before := int64(-1); before != sent.Load() || before == 0; {
		if before = sent.Load(); before*flowSize > flowBound {
			t.Fatalf("%d bytes were sent, and none was read; want Send to block before %d", before*flowSize, flowBound)
		}
		if t.Context().Err() != nil {
			t.Fatalf("nothing was sent")
		}
		time.Sleep(suite.Quiet)
	}
	callConcurrently(t, c, 20)
}
