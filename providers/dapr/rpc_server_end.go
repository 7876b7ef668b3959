package dapr

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// listener is one server of a service.
type listener struct {
	p       *provider
	server  *appServer
	service string
	backlog *providers.Backlog[driver.Incoming]
}

// Accept implements [driver.Listener].
func (l *listener) Accept(ctx context.Context) (driver.Incoming, error) {
	return l.backlog.Take(ctx)
}

// Close implements [driver.Listener]. Calls that were not accepted are refused,
// as if the listener had not existed.
func (l *listener) Close(context.Context) error {
	l.server.remove(l)
	for _, in := range l.backlog.End() {
		in.Stream.(*serverEnd).refuse()
	}
	return nil
}

// serverEnd is the server's end of a call.
type serverEnd struct {
	callEnd
	stream  grpc.ServerStream
	header  metadata.MD // sent, with no message after it yet
	refused bool        // guarded by callEnd.mu
}

// refuse ends a call that was not accepted.
func (e *serverEnd) refuse() {
	e.mu.Lock()
	e.refused = true
	e.mu.Unlock()
	_ = e.Close(context.Background())
}

// endByClient ends the call because its client has.
func (e *serverEnd) endByClient() {
	e.finish(fairlead.Errorf(fairlead.Closed, "the client has ended the call"))
}

// run carries the call until it has ended, and returns its status.
func (e *serverEnd) run(l *listener) error {
	stop := context.AfterFunc(l.p.life.Context(), func() { _ = e.Close(context.Background()) })
	defer stop()
	for {
		frames, ok := e.nextFrames()
		for _, f := range frames {
			if ended, err := e.sendFrame(f); ended {
				e.finish(errStreamClosed)
				return err
			}
		}
		if !ok {
			return e.statusWithoutTrailers()
		}
	}
}

// statusWithoutTrailers returns the status of a call whose server sent no
// trailers.
func (e *serverEnd) statusWithoutTrailers() error {
	e.mu.Lock()
	refused := e.refused
	e.mu.Unlock()
	if refused {
		return refuseUnserved(e.stream)
	}
	return status.Error(codes.Unavailable, "the server ended the call without a status")
}

// sendFrame puts a frame into the gRPC stream. It reports whether the call has
// ended.
func (e *serverEnd) sendFrame(f driver.Frame) (ended bool, err error) {
	switch f.Kind {
	case driver.FrameHeaders:
		e.header = toMetadata(f.Metadata)
		err = e.stream.SendHeader(e.header)
	case driver.FrameMessage:
		e.header = nil
		if err = e.stream.SendMsg(&f.Payload); err == nil {
			e.returnCredit(f)
		}
	case driver.FrameTrailers:
		trailer := toMetadata(f.Metadata)
		addHeadersToTrailer(trailer, e.header)
		e.stream.SetTrailer(trailer)
		return true, fromStatus(f.Status)
	}
	return err != nil, err
}

// receive delivers the messages of the client.
func (e *serverEnd) receive() {
	for e.waitForCredit() {
		var payload []byte
		switch err := e.stream.RecvMsg(&payload); err {
		case nil:
			e.deliver(driver.Frame{Kind: driver.FrameMessage, Payload: payload})
		case io.EOF:
			e.deliver(driver.Frame{Kind: driver.FrameHalfClose})
			return
		default:
			e.endByClient()
			return
		}
	}
}
