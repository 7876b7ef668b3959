package memory

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	rpcdriver "fairlead.dev/rpc/driver"
)

// exchange is where the calls of one backend meet their servers.
type exchange struct {
	mu        sync.Mutex
	listeners map[string][]*listener // those of one service take turns
}

func newExchange() *exchange {
	return &exchange{listeners: map[string][]*listener{}}
}

// carrier is the rpc facet of one provider: what it opens, accepts and
// listens to ends with the provider's life.
type carrier struct {
	life     lifetime
	exchange *exchange
}

func newCarrier(life lifetime, x *exchange) *carrier {
	return &carrier{life: life, exchange: x}
}

// Listen implements [rpcdriver.Carrier].
func (c *carrier) Listen(ctx context.Context, cfg rpcdriver.ListenConfig) (rpcdriver.Listener, error) {
	if err := c.life.ready(ctx); err != nil {
		return nil, err
	}
	l := &listener{exchange: c.exchange, service: cfg.Service, provider: c.life, life: newLifetime(c.life.ctx)}
	c.exchange.mu.Lock()
	defer c.exchange.mu.Unlock()
	c.exchange.listeners[cfg.Service] = append(c.exchange.listeners[cfg.Service], l)
	return l, nil
}

// OpenStream implements [rpcdriver.Carrier].
func (c *carrier) OpenStream(ctx context.Context, cfg rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
	if err := c.life.ready(ctx); err != nil {
		return nil, err
	}
	x := c.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	l, err := x.next(cfg.Service)
	if err != nil {
		return nil, err
	}
	client, server := newStream()
	client.provider.Store(&c.life)
	server.inbox = cfg.InitialFrames
	l.offer(rpcdriver.Incoming{Call: cfg.Call, Stream: server})
	return client, nil
}

// NextListener implements [rpcdriver.Local].
func (c *carrier) NextListener(ctx context.Context, service string, takes func(rpcdriver.Listener) bool) (rpcdriver.Listener, error) {
	if err := c.life.ready(ctx); err != nil {
		return nil, err
	}
	c.exchange.mu.Lock()
	defer c.exchange.mu.Unlock()
	l, err := c.exchange.first(service)
	if err != nil || !takes(l) {
		return nil, err // not l: a nil pointer in an interface is not nil
	}
	c.exchange.turn(service)
	return l, nil
}

// Life implements [rpcdriver.Local].
func (c *carrier) Life() context.Context { return c.life.ctx }

// next returns the listener whose turn it is, and goes on to the one behind it.
// It is called with the lock held, as are those below.
func (x *exchange) next(service string) (*listener, error) {
	l, err := x.first(service)
	x.turn(service)
	return l, err
}

// first returns the listener whose turn it is. It forgets those whose provider
// was closed.
func (x *exchange) first(service string) (*listener, error) {
	open := x.listeners[service]
	if slices.ContainsFunc(open, (*listener).ended) {
		open = slices.DeleteFunc(open, (*listener).ended)
		x.listeners[service] = open
	}
	if len(open) == 0 {
		delete(x.listeners, service)
		return nil, fairlead.Errorf(fairlead.Unavailable, "no server listens for the service %q", service)
	}
	return open[0], nil
}

// turn puts the first listener behind all others.
func (x *exchange) turn(service string) {
	if open := x.listeners[service]; len(open) > 1 {
		first := open[0]
		copy(open, open[1:])
		open[len(open)-1] = first
	}
}

// listener is one server of a service.
type listener struct {
	exchange *exchange
	service  string
	provider lifetime
	life     lifetime

	// Guarded by exchange.mu.
	backlog []rpcdriver.Incoming
	arrived await.Signal // the backlog has grown
}

func (l *listener) ended() bool { return l.life.ctx.Err() != nil }

// Accept implements [rpcdriver.Listener].
func (l *listener) Accept(ctx context.Context) (rpcdriver.Incoming, error) {
	for {
		if err := l.life.ready(ctx); err != nil {
			return rpcdriver.Incoming{}, err
		}
		in, arrived := l.take()
		if arrived == nil {
			return in, nil
		}
		if err := l.life.wait(ctx, arrived, time.Time{}); err != nil {
			return rpcdriver.Incoming{}, err
		}
	}
}

// take returns the oldest stream, or a channel to wait on for one.
func (l *listener) take() (rpcdriver.Incoming, <-chan struct{}) {
	l.exchange.mu.Lock()
	defer l.exchange.mu.Unlock()
	if len(l.backlog) == 0 {
		return rpcdriver.Incoming{}, l.arrived.Next()
	}
	in := l.backlog[0]
	l.backlog = slices.Delete(l.backlog, 0, 1)
	return in, nil
}

// Close implements [rpcdriver.Listener].
func (l *listener) Close(ctx context.Context) error {
	x := l.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	l.life.end()
	_, _ = x.first(l.service) // forgets this one
	for _, in := range l.backlog {
		if next, err := x.next(l.service); err == nil {
			next.offer(in)
		} else {
			_ = in.Stream.Close(ctx) // the caller gets Unavailable
		}
	}
	l.backlog = nil
	return nil
}

// offer puts a stream that nobody has seen into the backlog. It is called with
// the lock held.
func (l *listener) offer(in rpcdriver.Incoming) {
	in.Stream.(*stream).provider.Store(&l.provider)
	l.backlog = append(l.backlog, in)
	l.arrived.Fire()
}

// stream is one end of a call. What it is sent lies in its inbox, which the
// credits of the contract bound. It ends with its own Close or its provider's
// life; a context of its own would cost each call a place in the provider's.
type stream struct {
	provider atomic.Pointer[lifetime] // another one if it goes to another listener
	closed   chan struct{}
	closing  sync.Once
	peer     *stream

	mu    sync.Mutex
	inbox []rpcdriver.Frame
	grown await.Signal
}

// newStream returns the two ends of a stream, which still need their providers.
func newStream() (client, server *stream) {
	client = &stream{closed: make(chan struct{})}
	server = &stream{closed: make(chan struct{}), peer: client}
	client.peer = server
	return client, server
}

// life ends when the provider is closed.
func (s *stream) life() <-chan struct{} { return s.provider.Load().ctx.Done() }

// ended reports whether this end is closed.
func (s *stream) ended() bool {
	select {
	case <-s.closed:
		return true
	case <-s.life():
		return true
	default:
		return false
	}
}

// ready returns why a call with this context may not go on.
func (s *stream) ready(ctx context.Context) error {
	if s.ended() {
		return errClosed
	}
	return fairlead.ContextError(ctx)
}

// Send implements [rpcdriver.Stream].
func (s *stream) Send(ctx context.Context, frames []rpcdriver.Frame) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.peer.ended() {
		return errPeerClosed
	}
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	if s.peer.inbox == nil {
		s.peer.inbox = frames // which have changed hands
	} else {
		s.peer.inbox = append(s.peer.inbox, frames...)
	}
	s.peer.grown.Fire()
	return nil
}

// Recv implements [rpcdriver.Stream].
func (s *stream) Recv(ctx context.Context) ([]rpcdriver.Frame, error) {
	for {
		if err := s.ready(ctx); err != nil {
			return nil, err
		}
		// Looked at before the inbox: what was sent before the close is there.
		peerClosed := s.peer.ended()
		frames, grown := s.take()
		switch {
		case grown == nil:
			return frames, nil
		case peerClosed:
			return nil, errPeerClosed
		}
		select {
		case <-grown:
		case <-s.peer.closed:
		case <-s.peer.life():
		case <-s.closed:
		case <-s.life():
		case <-ctx.Done():
		}
	}
}

// take returns what lies in the inbox, or a channel to wait on for more.
func (s *stream) take() ([]rpcdriver.Frame, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inbox) == 0 {
		return nil, s.grown.Next()
	}
	frames := s.inbox
	s.inbox = nil
	return frames, nil
}

// Close implements [rpcdriver.Stream].
func (s *stream) Close(context.Context) error {
	s.closing.Do(func() { close(s.closed) })
	return nil
}

// Every call ends with one of these: they are made once.
var (
	errClosed     = fairlead.Errorf(fairlead.Closed, "the stream, or what it was opened from, is closed")
	errPeerClosed = fairlead.Errorf(fairlead.Closed, "the other end of the call closed it")
)
