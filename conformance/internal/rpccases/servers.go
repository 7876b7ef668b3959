package rpccases

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/rpc"
)

// serverCases are about servers that come and go, and about the claims.
var serverCases = []suite.Case{
	{
		Name: "rpc/no-server", Needs: []fairlead.Claim{rpc.FastNoResponder},
		Rule: "a call of a name without a server fails with Unavailable within a second, before and after there was a server",
		Run:  testNoServer,
	},
	{
		Name: "rpc/load-balance", Needs: []fairlead.Claim{rpc.LoadBalance},
		Rule: "the calls of one client reach all three servers of a name, and the other two when one stops",
		Run:  testLoadBalance,
	},
	{
		Name: "rpc/ping-pong", Needs: []fairlead.Claim{rpc.FullDuplex},
		Rule: "both directions of a call flow concurrently: each of a hundred requests waits for the reply to the one before",
		Run:  testPingPong,
	},
	{
		Name: "rpc/half-close", Needs: []fairlead.Claim{rpc.FullDuplex},
		Rule: "the client can end its direction while the server still sends, and the server sees that end",
		Run:  testHalfClose,
	},
	{
		Name: "rpc/graceful-stop",
		Rule: "a server that stops gracefully lets the calls in progress end normally, and accepts no more",
		Run:  testGraceful,
	},
	{
		Name: "rpc/stop",
		Rule: "the calls in progress on a server that is stopped soon fail with Unavailable",
		Run: func(t *suite.T) {
			name := t.Name()
			wantCallBroken(t, dial(t, t.Provider(), name), func(s *service) func() {
				return serve(t, t.Provider(), name, s).Stop
			})
		},
	},
	{
		Name: "rpc/server-gone", Needs: []fairlead.Claim{fairlead.Shared},
		Rule: "the calls in progress on a server whose provider is closed soon fail with Unavailable",
		Run: func(t *suite.T) {
			name := t.Name()
			wantCallBroken(t, dial(t, t.Provider(), name), func(s *service) func() {
				p := t.Open()
				serve(t, p, name, s)
				return func() { t.Must(p.Close(t.Context())) }
			})
		},
	},
	{
		Name: "rpc/client-gone", Needs: []fairlead.Claim{fairlead.Shared},
		Rule: "the handler's context ends when the provider of its client is closed",
		Run: func(t *suite.T) {
			begun, ended := make(chan struct{}), make(chan struct{})
			name := t.Name()
			serve(t, t.Provider(), name, &service{duplex: waitForCancel(t, begun, ended)})
			p := t.Open()
			both, err := dial(t, p, name).FullDuplexCall(t.Context())
			t.Must(err)
			t.Must(both.Send(&pb.StreamingOutputCallRequest{}))
			wantBegun(t, begun)
			t.Must(p.Close(t.Context()))
			t.WantSignal("the handler's context ends", ended)
		},
	},
	{
		Name: "rpc/shared", Needs: []fairlead.Claim{fairlead.Shared},
		Rule: "a client of one provider reaches a server of another provider of the same URL",
		Run: func(t *suite.T) {
			name := t.Name()
			serve(t, t.Open(), name, &service{})
			callConcurrently(t, dial(t, t.Open(), name), 20)
		},
	},
	{
		Name: "rpc/rolling", Needs: []fairlead.Claim{rpc.LoadBalance, fairlead.Shared}, Timeout: 2 * time.Minute,
		Rule: "while servers join, and others stop gracefully and immediately close their provider, no call of eight callers fails",
		Run:  testRolling,
	},
	{
		Name: "rpc/restart", Control: true, Timeout: 2 * time.Minute,
		Rule: "servers and clients survive a restart of the backend: calls work again within seconds",
		Run:  testRestart,
	},
	{
		Name: "rpc/full", Fill: true, Full: true, Timeout: 2 * time.Minute,
		Rule: "on a full backend, a call is answered, or fails with Unavailable or ResourceExhausted; a server stops; calls are answered when there is space again",
		Run:  testFull,
	},
}

// absentCases returns a case for each claim of the facet.
func absentCases() []suite.Case {
	var cases []suite.Case
	for _, one := range []struct {
		name  string
		claim fairlead.Claim
	}{
		{"flow-control", rpc.FlowControl}, {"no-server", rpc.FastNoResponder}, {"load-balance", rpc.LoadBalance}, {"directory", rpc.Directory},
		{"full-duplex", rpc.FullDuplex},
	} {
		c := one.claim
		cases = append(cases, suite.Case{
			Name: "rpc/absent-" + one.name, Lacks: c,
			Rule: fmt.Sprintf("without the claim %s, opening a client or a server that requires it fails", c),
			Run: func(t *suite.T) {
				conn, err := rpc.Dial(t.Context(), t.Provider(), t.Name(), rpc.Require(c))
				t.WantCode("Dial", err, fairlead.Unsupported)
				if err == nil {
					_ = conn.Close(t.Context())
				}
				srv, err := rpc.NewServer(t.Context(), t.Provider(), t.Name(), rpc.Require(c))
				t.WantCode("NewServer", err, fairlead.Unsupported)
				if err == nil {
					srv.Stop()
				}
			},
		})
	}
	return cases
}

// duplexHandler handles calls in both directions.
type duplexHandler = func(grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error

// waitForCancel returns a handler that waits for the end of its context, and
// reports it.
func waitForCancel(t *suite.T, begun, ended chan struct{}) duplexHandler {
	ctx := t.Context()
	return func(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
		close(begun)
		select {
		case <-both.Context().Done():
			close(ended)
		case <-ctx.Done():
		}
		return both.Context().Err()
	}
}

// wantBegun demands that a call reaches its handler.
func wantBegun(t *suite.T, begun <-chan struct{}) {
	select {
	case <-begun:
	case <-time.After(t.Patience()):
		t.Fatalf("the call has not reached its handler after %v", t.Patience())
	}
}

// serviceThatTells returns a service that answers with a name.
func serviceThatTells(name string) *service {
	return &service{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return &pb.SimpleResponse{ServerId: name}, nil
	}}
}

func askName(ctx context.Context, c pb.TestServiceClient) (string, error) {
	out, err := c.UnaryCall(ctx, &pb.SimpleRequest{FillServerId: true})
	return out.GetServerId(), err
}

func testNoServer(t *suite.T) {
	name := t.Name()
	c := dial(t, t.Provider(), name)
	call := func(when string) {
		ctx := t.Within(25 * time.Second)
		select {
		case err := <-suite.RunInBackground(func() error { _, err := c.EmptyCall(ctx, &pb.Empty{}); return err }):
			wantStatus(t, when, err, codes.Unavailable)
		case <-time.After(t.Soon()):
			t.Errorf("%s: the call has not failed after %v", when, t.Soon())
		}
	}
	call("before there was a server")
	srv := serve(t, t.Provider(), name, &service{})
	waitUntilServed(t, c)
	wantEcho(t, t.PatientContext(), c, "there is one")
	t.Must(srv.Close(t.Context()))
	call("after the server stopped")
}

func testLoadBalance(t *suite.T) {
	name := t.Name()
	servers := map[string]*rpc.Server{}
	for i := range 3 {
		id := fmt.Sprintf("server %d", i)
		servers[id] = serve(t, t.Provider(), name, serviceThatTells(id))
	}
	c := dial(t, t.Provider(), name)
	t.Eventually(t.Patience(), "60 calls reach all 3 servers", func() bool { return len(countReached(t, c)) == 3 })
	t.Must(servers["server 0"].Close(t.Context()))
	if got := countReached(t, c); len(got) != 2 || got["server 0"] > 0 {
		t.Errorf("60 calls after server 0 has stopped reached %v; want the 2 others", got)
	}
}

// countReached makes sixty calls, and returns how many of them reached each server.
func countReached(t *suite.T, c pb.TestServiceClient) map[string]int {
	ctx := t.PatientContext()
	reached := map[string]int{}
	for range 60 {
		id, err := askName(ctx, c)
		if err != nil {
			t.Fatalf("a call: %v", err)
		}
		reached[id]++
	}
	return reached
}

// waitUntilServed waits until the servers that were just started are seen.
func waitUntilServed(t *suite.T, c pb.TestServiceClient) {
	t.Eventually(t.Patience(), "a server that was started is reached", func() bool {
		_, err := c.EmptyCall(t.Within(min(3*time.Second, t.Patience())), &pb.Empty{})
		return err == nil
	})
}

func testPingPong(t *suite.T) {
	both, err := dialNewService(t, &service{}).FullDuplexCall(t.PatientContext())
	t.Must(err)
	for i := range 100 {
		t.Must(both.Send(&pb.StreamingOutputCallRequest{Payload: numberedPayload(i, 100)}))
		m, err := both.Recv()
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			t.Fatalf("the reply to request %d: %v", i, err)
		}
	}
	t.Must(both.CloseSend())
	if _, err := both.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func testHalfClose(t *suite.T) {
	c := dialNewService(t, &service{duplex: func(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
		if err := both.Send(&pb.StreamingOutputCallResponse{Payload: numberedPayload(0, 50)}); err != nil {
			return err
		}
		if _, err := both.Recv(); err != io.EOF {
			return fmt.Errorf("want the end of the client's messages, got %w", err)
		}
		for i := 1; i < 20; i++ {
			if err := both.Send(&pb.StreamingOutputCallResponse{Payload: numberedPayload(i, 50)}); err != nil {
				return err
			}
		}
		return nil
	}})
	both, err := c.FullDuplexCall(t.PatientContext())
	t.Must(err)
	for i := range 20 {
		m, err := both.Recv()
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if i == 0 {
			t.Must(both.CloseSend())
		}
	}
	if _, err := both.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func testGraceful(t *suite.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	name := t.Name()
	srv := serve(t, t.Provider(), name, &service{duplex: func(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
		close(begun)
		select {
		case <-finish:
		case <-both.Context().Done():
			return both.Context().Err()
		}
		return both.Send(&pb.StreamingOutputCallResponse{Payload: textPayload("the last word")})
	}})
	c := dial(t, t.Provider(), name)
	both, err := c.FullDuplexCall(t.PatientContext())
	t.Must(err)
	t.Must(both.Send(&pb.StreamingOutputCallRequest{}))
	wantBegun(t, begun)
	stopping := suite.RunInBackground(func() error { return srv.Close(t.Context()) })
	t.Eventually(t.Patience(), "a server that stops takes no more calls", func() bool {
		_, err := c.EmptyCall(t.Within(time.Second), &pb.Empty{})
		return err != nil
	})
	select {
	case err := <-stopping:
		t.Errorf("Close returned %v while a call was in progress", err)
		stopping = nil
	default:
	}
	close(finish)
	m, err := both.Recv()
	if err != nil || string(m.GetPayload().GetBody()) != "the last word" {
		t.Errorf("the call in progress got %v, %v", m, err)
	}
	if stopping != nil {
		t.WantEnd("Close after the last call", stopping, 0)
	}
}

func testRolling(t *suite.T) {
	name := t.Name()
	c := dial(t, t.Provider(), name)
	join := func(id string) (leave func()) {
		p := t.Open()
		srv := serve(t, p, name, serviceThatTells(id))
		waitUntilServed(t, c)
		t.Eventually(t.Patience(), "the server that joined is reached", func() bool { return countReached(t, c)[id] > 0 })
		return func() {
			t.Must(srv.Close(t.Context()))
			t.Must(p.Close(t.Context()))
		}
	}
	leave := join("server 0")
	stop := make(chan struct{})
	var made atomic.Int64
	var callers []<-chan error
	for range 8 {
		callers = append(callers, suite.RunInBackground(func() error { return callUntil(t.Context(), stop, c, &made) }))
	}
	for i := range 10 {
		next := join(fmt.Sprintf("server %d", i+1))
		leave()
		leave = next
	}
	close(stop)
	for _, done := range callers {
		if err := <-done; err != nil {
			t.Errorf("of %d calls while servers came and went: %v", made.Load(), err)
		}
	}
}

// callUntil makes one call after the other, and counts them.
func callUntil(ctx context.Context, stop <-chan struct{}, c pb.TestServiceClient, made *atomic.Int64) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		call := callUnary
		if i%4 == 3 {
			call = callPingPong
		}
		if err := call(ctx, c); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		made.Add(1)
	}
}

func callUnary(ctx context.Context, c pb.TestServiceClient) error {
	_, err := c.EmptyCall(ctx, &pb.Empty{})
	return err
}

// callPingPong sends a message in a stream, and ends the stream after the answer.
func callPingPong(ctx context.Context, c pb.TestServiceClient) error {
	both, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	err = both.Send(&pb.StreamingOutputCallRequest{Payload: textPayload("ping")})
	if err == nil || err == io.EOF { // then Recv returns the reason
		_, err = both.Recv()
	}
	if err == nil {
		err = both.CloseSend()
	}
	if err != nil {
		return fmt.Errorf("in a stream: %w", err)
	}
	if _, err := both.Recv(); err != io.EOF {
		return fmt.Errorf("at the end of a stream: %w", err)
	}
	return nil
}

// wantCallBroken starts a server and a call on it, ends the server with what start
// returned, and demands that the call fails.
func wantCallBroken(t *suite.T, c pb.TestServiceClient, start func(*service) func()) {
	begun, ended := make(chan struct{}), make(chan struct{})
	stop := start(&service{duplex: waitForCancel(t, begun, ended)})
	waitUntilServed(t, c)
	both, err := c.FullDuplexCall(t.Context())
	t.Must(err)
	t.Must(both.Send(&pb.StreamingOutputCallRequest{}))
	wantBegun(t, begun)
	stop()
	select {
	case err := <-suite.RunInBackground(func() error { _, err := both.Recv(); return err }):
		wantStatus(t, "the call in progress", err, codes.Unavailable)
	case <-time.After(t.Soon()):
		t.Errorf("the call in progress has not failed after %v", t.Soon())
	}
	t.WantSignal("the handler's context ends", ended)
}

func testFull(t *suite.T) {
	name := t.Name()
	serve(t, t.Provider(), name, &service{})
	stopped := serve(t, t.Provider(), t.Name(), &service{})
	c := dial(t, t.Provider(), name)
	wantEcho(t, t.PatientContext(), c, "before")
	free := t.Fill()
	for range 20 {
		_, err := c.UnaryCall(t.PatientContext(), &pb.SimpleRequest{Payload: textPayload("full")})
		wantStatus(t, "a call on a full backend", err, codes.OK, codes.Unavailable, codes.ResourceExhausted)
	}
	t.WantEnd("stopping a server on a full backend", suite.RunInBackground(func() error { stopped.Stop(); return nil }), 0)
	free()
	t.Eventually(t.Patience(), "calls work again", func() bool {
		_, err := c.EmptyCall(t.Within(time.Second), &pb.Empty{})
		return err == nil
	})
	callConcurrently(t, c, 20)
}

func testRestart(t *suite.T) {
	name := t.Name()
	serve(t, t.Provider(), name, &service{})
	c := dial(t, t.Provider(), name)
	wantEcho(t, t.PatientContext(), c, "before")
	t.Must(t.Control().Kill(t.Context()))
	t.Must(t.Control().Start(t.Context()))
	var failed atomic.Int64
	t.Eventually(max(t.Patience(), 3*time.Second), "calls work again", func() bool {
		_, err := c.EmptyCall(t.Within(time.Second), &pb.Empty{})
		if err != nil {
			failed.Add(1)
		}
		return err == nil
	})
	t.Logf("%d calls failed after the start", failed.Load())
	callConcurrently(t, c, 20)
}
