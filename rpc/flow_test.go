package rpc_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/rpc/driver"
)

// bound returns how many messages of a size can be in flight in one direction.
func bound(size int) int32 { return int32(driver.Window/size + 1) }

// A client that does not read blocks the server, and no other call. All messages
// arrive when the client reads.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{0, 1000, 1 << 20} {
			const total = 10_000
			n := min(total, 20*bound(size+1))
			var sent atomic.Int32
			impl := &service{unary: echo, output: func(_ *pb.StreamingOutputCallRequest, out outputServer) error {
				for range n {
					if err := out.Send(&pb.StreamingOutputCallResponse{Payload: payload(size)}); err != nil {
						return err
					}
					sent.Add(1)
				}
				return nil
			}}
			c := pb.NewTestServiceClient(dialMemory(t, impl))
			stream, err := c.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
			check.NoError(t, err)
			synctest.Wait()
			if got := sent.Load(); got == 0 || got > bound(size+64) {
				t.Errorf("%d messages of %d bytes were sent to a client that does not read", got, size)
			}
			_, err = c.UnaryCall(t.Context(), &pb.SimpleRequest{})
			check.NoError(t, err)
			for range n {
				_, err := stream.Recv()
				check.NoError(t, err)
			}
			if _, err := stream.Recv(); err != io.EOF {
				t.Errorf("got %v, want EOF", err)
			}
		}
	})
}

// A server that does not read blocks the client, whose Send returns when the
// context of the call ends.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, ended := make(chan struct{}, 1), make(chan error, 1)
		c := pb.NewTestServiceClient(dialMemory(t, lingering(began, ended)))
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := c.StreamingInputCall(ctx)
		check.NoError(t, err)
		var sent atomic.Int32
		failed := make(chan error)
		go func() {
			for {
				if err := stream.Send(&pb.StreamingInputCallRequest{Payload: payload(1000)}); err != nil {
					failed <- err
					return
				}
				sent.Add(1)
			}
		}()
		synctest.Wait()
		if got := sent.Load(); got == 0 || got > bound(1000) {
			t.Errorf("%d messages were sent to a server that does not read", got)
		}
		cancel()
		if err := <-failed; err != io.EOF {
			t.Errorf("Send failed with %v, want EOF", err)
		}
		wantCode(t, stream.RecvMsg(&pb.Empty{}), codes.Canceled)
	})
}

// Messages flow in both directions at once.
func TestBothDirectionsFlow(t *testing.T) {
	const n = 2000
	impl := &service{duplex: bounce}
	c := pb.NewTestServiceClient(dialMemory(t, impl))
	stream, err := c.FullDuplexCall(t.Context())
	check.NoError(t, err)
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(i)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	for i := range n {
		out, err := stream.Recv()
		check.NoError(t, err)
		if len(out.Payload.GetBody()) != i {
			t.Fatalf("message %d has %d bytes", i, len(out.Payload.GetBody()))
		}
	}
	check.NoError(t, within(t, sent))
}

// A server that breaks the driver contract ends its calls, and has no other effect.
func TestServerBreaksContract(t *testing.T) {
	for name, frames := range map[string][]driver.Frame{
		"unknown kind":      {{Kind: 99}},
		"half-close":        {{Kind: driver.FrameHalfClose}},
		"headers twice":     {{Kind: driver.FrameHeaders}, {Kind: driver.FrameHeaders}},
		"beyond credits":    {{Kind: driver.FrameMessage, Payload: encoded(t, &pb.SimpleResponse{Payload: payload(driver.Window)})}, {Kind: driver.FrameMessage}},
		"too much credit":   {{Kind: driver.FrameCredit, Credit: 1 << 62}},
		"negative credit":   {{Kind: driver.FrameCredit, Credit: -1}},
		"two replies":       {{Kind: driver.FrameMessage}, {Kind: driver.FrameMessage}},
		"no reply":          {{Kind: driver.FrameTrailers}},
		"not protobuf":      {{Kind: driver.FrameMessage, Payload: []byte{0xff}}},
		"details not valid": {{Kind: driver.FrameTrailers, Status: driver.Status{Code: 13, Details: []byte{0xff}}}},
		"details of other":  {{Kind: driver.FrameTrailers, Status: driver.Status{Code: 13, Details: []byte{0x08, 0x00}}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, "mem://")
			replyWith(t, p, frames)
			_, err := pb.NewTestServiceClient(dial(t, p, "test")).UnaryCall(t.Context(), &pb.SimpleRequest{})
			wantCode(t, err, codes.Internal)
			wantReason(t, name, status.Convert(err).Message())
		})
	}
}

// wantReason checks that messages beyond the credits fail for that reason, and not
// because there are too many of them, which has the same code.
func wantReason(t *testing.T, name, message string) {
	t.Helper()
	if name == "beyond credits" && !strings.Contains(message, "credits") {
		t.Errorf("the reason is %q", message)
	}
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	check.NoError(t, err)
	return b
}

// replyWith serves one call with these frames, below the portable layer.
func replyWith(t *testing.T, p fairlead.Provider, frames []driver.Frame) {
	t.Helper()
	l, err := p.(driver.Provider).Listen(t.Context(), driver.ListenConfig{Service: "test"})
	check.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		in, err := l.Accept(t.Context())
		if err == nil {
			err = in.Stream.Send(t.Context(), frames)
		}
		done <- err
	}()
	t.Cleanup(func() { check.NoError(t, within(t, done)) })
}

// The call ends, whichever frames a server sends before it closes.
func FuzzServerFrames(f *testing.F) {
	f.Add([]byte{1, 0, 2, 3, 1, 2, 3, 4, 0})
	f.Add([]byte{4, 2, 8, 13, 5, 1, 2, 255, 0, 3, 0})
	p, err := fairlead.Open(f.Context(), "mem://")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = p.Close(context.Background()) })
	l, err := p.(driver.Provider).Listen(f.Context(), driver.ListenConfig{Service: "test"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		stream, err := pb.NewTestServiceClient(dial(t, p, "test")).FullDuplexCall(t.Context())
		check.NoError(t, err)
		in, err := l.Accept(t.Context())
		check.NoError(t, err)
		check.NoError(t, in.Stream.Send(t.Context(), framesFrom(data)))
		check.NoError(t, in.Stream.Close(t.Context()))
		_, _ = stream.Header()
		for err == nil {
			_, err = stream.Recv()
		}
		stream.Trailer()
	})
}

// framesFrom decodes frames: a kind, a length, and as many bytes, which it puts
// into every field of the frame.
func framesFrom(data []byte) (frames []driver.Frame) {
	for len(data) >= 2 {
		n := min(int(data[1]), len(data)-2)
		kind, body := driver.FrameKind(data[0]), data[2:2+n]
		frame := driver.Frame{Kind: kind, Payload: body, Credit: n - 10}
		frame.Metadata = []driver.Field{{Name: string(body), Value: body}}
		frame.Status = driver.Status{Code: uint32(n), Message: string(body), Details: body}
		frames, data = append(frames, frame), data[2+n:]
	}
	return frames
}

// A client that breaks the driver contract gets Internal, and has no other effect.
func TestClientBreaksContract(t *testing.T) {
	for name, frames := range map[string][]driver.Frame{
		"trailers":        {{Kind: driver.FrameTrailers}},
		"beyond credits":  {{Kind: driver.FrameMessage, Payload: encoded(t, &pb.SimpleRequest{Payload: payload(driver.Window)})}, {Kind: driver.FrameMessage}},
		"after the end":   {{Kind: driver.FrameHalfClose}, {Kind: driver.FrameMessage}},
		"no request":      {{Kind: driver.FrameHalfClose}},
		"two requests":    {{Kind: driver.FrameMessage}, {Kind: driver.FrameMessage}, {Kind: driver.FrameHalfClose}},
		"too much credit": {{Kind: driver.FrameCredit, Credit: 1}, {Kind: driver.FrameMessage}},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, "mem://")
			serve(t, p, "test", &service{unary: echo})
			stream, err := p.(driver.Provider).OpenStream(t.Context(), driver.StreamConfig{
				Service:       "test",
				Call:          driver.Call{Method: pb.TestService_UnaryCall_FullMethodName},
				InitialFrames: frames,
			})
			check.NoError(t, err)
			defer stream.Close(t.Context())
			var last driver.Frame
			for last.Kind != driver.FrameTrailers { // credits may come before the trailers
				got, err := stream.Recv(t.Context())
				check.NoError(t, err)
				last = got[len(got)-1]
			}
			if last.Status.Code != uint32(codes.Internal) {
				t.Errorf("got %+v", last)
			}
			wantReason(t, name, last.Status.Message)
		})
	}
}
