package memory

import (
	"context"
	"sync"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/providers"
	rpcdriver "fairlead.dev/rpc/driver"
)

// stream is one end of a call. The frames that the other end sends lie in its
// inbox, which the credits of the contract bound. It ends with its own Close or
// with its provider's life. It has no context of its own: that would cost each
// call an entry in the provider's.
type stream struct {
	provider atomic.Pointer[providers.Lifetime] // changes when the stream moves to another listener
	closed   chan struct{}
	closing  sync.Once
	peer     *stream

	mu      sync.Mutex
	inbox   []rpcdriver.Frame
	arrived providers.Signal // the inbox has grown
}

// newStream returns the two ends of a stream. The caller sets their providers.
func newStream() (client, server *stream) {
	client = &stream{closed: make(chan struct{})}
	server = &stream{closed: make(chan struct{}), peer: client}
	client.peer = server
	return client, server
}

// providerClosed returns a channel that is closed with the provider.
func (s *stream) providerClosed() <-chan struct{} { return s.provider.Load().Done() }

// isClosed reports whether this end, or its provider, is closed.
func (s *stream) isClosed() bool {
	select {
	case <-s.closed:
		return true
	case <-s.providerClosed():
		return true
	default:
		return false
	}
}

// check returns the error of a call that cannot begin or continue.
func (s *stream) check(ctx context.Context) error {
	if s.isClosed() {
		return errStreamClosed
	}
	return fairlead.ContextError(ctx)
}

// Send implements [rpcdriver.Stream].
func (s *stream) Send(ctx context.Context, frames []rpcdriver.Frame) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if s.peer.isClosed() {
		return errPeerClosed
	}
	s.peer.deliver(frames)
	return nil
}

// deliver adds frames to the inbox. The slice belongs to the stream from then on.
func (s *stream) deliver(frames []rpcdriver.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbox == nil {
		s.inbox = frames
	} else {
		s.inbox = append(s.inbox, frames...)
	}
	s.arrived.Fire()
}

// Recv implements [rpcdriver.Stream].
func (s *stream) Recv(ctx context.Context) ([]rpcdriver.Frame, error) {
	for {
		if err := s.check(ctx); err != nil {
			return nil, err
		}
		// This is read before the inbox: frames that were sent before the close
		// are in the inbox then.
		peerClosed := s.peer.isClosed()
		frames, arrived := s.takeInbox()
		switch {
		case arrived == nil:
			return frames, nil
		case peerClosed:
			return nil, errPeerClosed
		}
		select {
		case <-arrived:
		case <-s.peer.closed:
		case <-s.peer.providerClosed():
		case <-s.closed:
		case <-s.providerClosed():
		case <-ctx.Done():
		}
	}
}

// takeInbox empties the inbox and returns its frames. If there are none, it
// returns a channel that is closed when a frame arrives.
func (s *stream) takeInbox() ([]rpcdriver.Frame, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, arrived, _ := providers.TakeInbox(&s.inbox, nil, &s.arrived)
	return frames, arrived
}

// Close implements [rpcdriver.Stream].
func (s *stream) Close(context.Context) error {
	s.closing.Do(func() { close(s.closed) })
	return nil
}

// Every call ends with one of these errors, so they are made once.
var (
	errStreamClosed = fairlead.Errorf(fairlead.Closed, "the stream, or its provider, is closed")
	errPeerClosed   = fairlead.Errorf(fairlead.Closed, "the other end of the call was closed")
)
