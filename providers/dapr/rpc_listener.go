package dapr

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// listener is one server of a service.
type listener struct {
	p       *provider
	server  *appServer
	service string
	life    context.Context // ends with Close, or with the provider's
	end     context.CancelFunc

	mu      sync.Mutex
	closed  bool
	backlog []driver.Incoming
	arrived await.Signal
}

// offer hands over a call. It reports false when nobody will accept it.
func (l *listener) offer(in driver.Incoming) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.life.Err() != nil {
		return false
	}
	l.backlog = append(l.backlog, in)
	l.arrived.Fire()
	return true
}

// Accept implements [driver.Listener].
func (l *listener) Accept(ctx context.Context) (driver.Incoming, error) {
	for {
		if l.life.Err() != nil {
			return driver.Incoming{}, fairlead.Errorf(fairlead.Closed, "the listener is closed")
		}
		in, arrived := l.take()
		if arrived == nil {
			return in, nil
		}
		select {
		case <-arrived:
		case <-l.life.Done():
		case <-ctx.Done():
			return driver.Incoming{}, fairlead.ContextError(ctx)
		}
	}
}

// take returns the oldest call, or a channel to wait on for one.
func (l *listener) take() (driver.Incoming, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.backlog) == 0 {
		return driver.Incoming{}, l.arrived.Next()
	}
	in := l.backlog[0]
	l.backlog = l.backlog[1:]
	return in, nil
}

// Close implements [driver.Listener]. Calls that nobody has accepted are
// refused, as if the listener had not been there.
func (l *listener) Close(context.Context) error {
	l.server.remove(l)
	l.mu.Lock()
	backlog := l.backlog
	l.backlog, l.closed = nil, true
	l.mu.Unlock()
	l.end()
	for _, in := range backlog {
		in.Stream.(*serverEnd).refuse()
	}
	return nil
}

// serverEnd is the server's end of a call.
type serverEnd struct {
	bridge
	stream  grpc.ServerStream
	header  metadata.MD // sent, with no message behind it yet
	refused bool        // guarded by the bridge's lock
}

// refuse ends a call that was not accepted.
func (e *serverEnd) refuse() {
	e.mu.Lock()
	e.refused = true
	e.mu.Unlock()
	_ = e.Close(context.Background())
}

// left ends the call when its client has.
func (e *serverEnd) left() {
	e.finish(fairlead.Errorf(fairlead.Closed, "the client has ended the call"))
}

// run carries the call until it has ended, and returns its status.
func (e *serverEnd) run(l *listener) error {
	gone := context.AfterFunc(l.p.life, func() { _ = e.Close(context.Background()) })
	defer gone()
	for {
		frames, ok := e.next()
		for _, f := range frames {
			if ended, err := e.put(f); ended {
				e.finish(errStreamClosed)
				return err
			}
		}
		if !ok {
			return e.abandoned()
		}
	}
}

// abandoned is the status of a call that ends without one.
func (e *serverEnd) abandoned() error {
	e.mu.Lock()
	refused := e.refused
	e.mu.Unlock()
	if refused {
		return unserved(e.stream)
	}
	return status.Error(codes.Unavailable, "the server has given the call up")
}

// put puts a frame into the gRPC stream. It reports whether the call has ended.
func (e *serverEnd) put(f driver.Frame) (ended bool, err error) {
	switch f.Kind {
	case driver.FrameHeaders:
		e.header = toMetadata(f.Metadata)
		err = e.stream.SendHeader(e.header)
	case driver.FrameMessage:
		e.header = nil
		if err = e.stream.SendMsg(&f.Payload); err == nil {
			e.giveBack(f)
		}
	case driver.FrameTrailers:
		trailer := toMetadata(f.Metadata)
		hold(trailer, e.header)
		e.stream.SetTrailer(trailer)
		return true, fromStatus(f.Status)
	}
	return err != nil, err
}

// receive takes what the client sends.
func (e *serverEnd) receive() {
	for e.mayRead() {
		var payload []byte
		switch err := e.stream.RecvMsg(&payload); err {
		case nil:
			e.deliver(driver.Frame{Kind: driver.FrameMessage, Payload: payload})
		case io.EOF:
			e.deliver(driver.Frame{Kind: driver.FrameHalfClose})
			return
		default:
			e.left()
			return
		}
	}
}
