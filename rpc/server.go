package rpc

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"fairlead.dev/internal/portable"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

var _ grpc.ServiceRegistrar = (*Server)(nil)

// acceptPause is how long Serve waits before it accepts again when the
// backend is away.
const acceptPause = 100 * time.Millisecond

// Server serves one service name. Register the implementations with the
// generated functions, then call [Server.Serve].
type Server struct {
	handle  *portable.Handle
	carrier driver.Carrier
	service string
	codec   codec
	unary   grpc.UnaryServerInterceptor
	stream  grpc.StreamServerInterceptor

	life context.Context // of all calls; ends with Stop
	end  context.CancelFunc

	listening sync.Mutex // held while Listen asks the driver
	serving   atomic.Bool

	mu       sync.Mutex
	services map[string]bool
	methods  map[string]method // by full name
	listener driver.Listener   // nil before Listen
	stopping bool              // no new calls
	work     int               // calls, and Serve while it accepts
	idle     chan struct{}     // closed when stopping and there is no work
}

// NewServer returns a server of that name, which nobody reaches before
// [Server.Listen] or [Server.Serve]. A name has 1 to 128 of the characters
// A–Z a–z 0–9 . _ - and starts with a letter or digit. The context bounds
// NewServer alone. A server that is not needed any more is stopped, also if
// it never served.
//
// Errors: Unsupported if the provider has no rpc facet, or if a requirement
// is not met; Invalid for a bad name or option; Closed.
func NewServer(ctx context.Context, p providers.Provider, service string, opts ...ServerOption) (*Server, error) {
	s, err := newServer(ctx, p, service, opts)
	return s, providers.Annotate(err, "rpc.NewServer", "")
}

func newServer(ctx context.Context, p providers.Provider, service string, opts []ServerOption) (*Server, error) {
	cfg := serverConfig{maxRecv: defaultMaxRecv}
	for _, o := range opts {
		if err := o.server(&cfg); err != nil {
			return nil, err
		}
	}
	h, carrier, err := open(ctx, p, service, cfg.require)
	if err != nil {
		return nil, err
	}
	s := &Server{
		handle: h, carrier: carrier, service: service,
		codec: newCodec(defaultMaxSend, cfg.maxRecv, h.Facet.Limits.MaxFrameBytes),
		unary: chainUnaryServer(cfg.unary), stream: chainStreamServer(cfg.stream),
		services: map[string]bool{}, methods: map[string]method{},
		idle: make(chan struct{}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Listen makes the server reachable: from its return on, calls come to it and
// wait until Serve runs. Serve listens by itself if Listen was not called. It
// returns nil if the server listens already, and Closed if it was stopped.
func (s *Server) Listen(ctx context.Context) error {
	_, err := s.listen(ctx)
	return providers.Annotate(err, "rpc.Listen", s.handle.Provider)
}

func (s *Server) listen(ctx context.Context) (driver.Listener, error) {
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	l, stopping := s.listener, s.stopping
	s.mu.Unlock()
	if stopping {
		return nil, providers.Errorf(providers.Closed, "the server was stopped")
	}
	if l != nil {
		return l, nil
	}
	l, err := s.carrier.Listen(ctx, driver.ListenConfig{Service: s.service})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		_ = soon(l.Close) // Stop came in between, and did not see it
		return nil, providers.Errorf(providers.Closed, "the server was stopped")
	}
	s.listener = l
	return l, nil
}

// Serve listens and takes calls until the server is stopped, and then, or if it
// was stopped before, returns nil; after GracefulStop it returns when the last call has ended. When the
// context ends it stops as [Server.Stop] does and returns the context's error.
// Call it once; calls are handled in goroutines of their own.
func (s *Server) Serve(ctx context.Context) error {
	err := s.serve(ctx)
	return providers.Annotate(err, "rpc.Serve", s.handle.Provider)
}

func (s *Server) serve(ctx context.Context) error {
	l, err := s.listen(ctx)
	if s.isStopping() {
		return nil
	}
	if err != nil {
		return err
	}
	if !s.serving.CompareAndSwap(false, true) {
		return providers.Errorf(providers.Invalid, "Serve runs already; call it once")
	}
	if !s.begin() {
		return nil
	}
	err = s.accept(ctx, l)
	s.done()
	if !s.isStopping() {
		s.Stop()
		return err
	}
	select {
	case <-s.idle:
	case <-s.life.Done():
	case <-ctx.Done():
		s.Stop()
		return ctx.Err()
	}
	return nil
}

// accept takes calls until the listener or the context ends.
func (s *Server) accept(ctx context.Context, l driver.Listener) error {
	for {
		in, err := l.Accept(ctx)
		switch {
		case err == nil:
			s.take(in)
		case ctx.Err() != nil:
			return ctx.Err()
		case providers.CodeOf(err) != providers.Unavailable:
			return err
		default:
			slog.WarnContext(ctx, "rpc: no calls can be taken, trying again", "service", s.service, "error", err)
			pause(ctx, acceptPause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// take handles a call in a goroutine of its own.
func (s *Server) take(in driver.Incoming) {
	if !s.begin() {
		_ = soon(in.Stream.Close) // the caller gets Unavailable
		return
	}
	go func() {
		defer s.done()
		s.handleCall(in)
	}()
}

// begin counts a piece of work, and reports whether it may begin.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.work++
	return true
}

func (s *Server) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work--
	if s.stopping && s.work == 0 {
		close(s.idle)
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// GracefulStop takes no more calls, waits until those under way have ended,
// and releases the server. If the context ends first it stops as
// [Server.Stop] does and returns the context's error.
func (s *Server) GracefulStop(ctx context.Context) error {
	err := s.drain()
	select {
	case <-s.idle:
	case <-s.life.Done():
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.release()
	return providers.Annotate(err, "rpc.GracefulStop", s.handle.Provider)
}

// Stop ends the server at once: it takes no more calls, cancels the contexts
// of those under way, whose callers get Unavailable, and does not wait for
// their handlers. It may be called several times, and after GracefulStop.
func (s *Server) Stop() {
	_ = s.drain() // a listener that cannot be closed ends with its provider
	s.release()
}

// drain stops listening.
func (s *Server) drain() error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	s.stopping = true
	if s.work == 0 {
		close(s.idle)
	}
	l := s.listener
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	return soon(l.Close)
}

func (s *Server) release() {
	s.end()
	s.handle.Close()
}

// soon closes something within closeTimeout.
func soon(closeIt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return closeIt(ctx)
}
