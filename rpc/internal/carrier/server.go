package carrier

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

var _ transport.Server = (*Server)(nil)

// Server takes calls from a carrier.
type Server struct {
	transport.ServerConfig
	carrier driver.Carrier
	codec   codec
	unary   grpc.UnaryServerInterceptor
	stream  grpc.StreamServerInterceptor

	life          context.Context // of all calls; ends with Stop
	end           context.CancelFunc
	handlerCtx    context.Context // parent of the contexts of handlers
	noMetadataCtx context.Context // handlerCtx for a call without metadata

	listening sync.Mutex // held while the driver begins to listen
	serving   atomic.Bool
	workers   *workerPool

	mu       sync.Mutex
	methods  map[string]method // by full name; does not change after Listen
	listener driver.Listener   // nil before Listen
	draining bool              // Stop or GracefulStop has begun
	stopping bool              // the listener is closed: no new calls
	running  int               // calls, and Serve while it accepts
	idle     chan struct{}     // closed when stopping is true and running is 0
}

// NewServer returns a server that does not listen yet.
func NewServer(carrier driver.Carrier, cfg transport.ServerConfig) *Server {
	s := &Server{
		ServerConfig: cfg, carrier: carrier,
		codec: newCodec(defaultMaxSend, cfg.MaxRecvMsgSize, cfg.Handle.Facet.Limits.MaxFrameBytes),
		unary: chainUnaryServer(cfg.UnaryInterceptors), stream: chainStreamServer(cfg.StreamInterceptors),
		methods: map[string]method{},
		idle:    make(chan struct{}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.workers = newWorkerPool(s.life)
	s.handlerCtx = newHandlerContext(s.life, cfg.Handle.Provider, cfg.Service)
	s.noMetadataCtx = metadata.NewIncomingContext(s.handlerCtx, metadata.MD{})
	return s
}

// Listen implements [transport.Server].
func (s *Server) Listen(ctx context.Context) error {
	_, err := s.openListener(ctx)
	return err
}

// openListener returns the listener. It opens it if this is the first call.
func (s *Server) openListener(ctx context.Context) (driver.Listener, error) {
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	l, draining := s.listener, s.draining
	s.mu.Unlock()
	if draining {
		return nil, errStopped()
	}
	if l != nil {
		return l, nil
	}
	l, err := s.carrier.Listen(ctx, driver.ListenConfig{Service: s.Service})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining { // Stop came in between, and did not see the listener
		_ = transport.CloseWithTimeout(l.Close)
		return nil, errStopped()
	}
	s.listener = l
	return l, nil
}

func errStopped() error { return fairlead.Errorf(fairlead.Closed, "the server was stopped") }

// Serve implements [transport.Server].
func (s *Server) Serve(ctx context.Context) error {
	l, err := s.openListener(ctx)
	if s.isDraining() {
		return nil
	}
	if err != nil {
		return err
	}
	if !s.serving.CompareAndSwap(false, true) {
		return fairlead.Errorf(fairlead.Invalid, "Serve runs already; call it once")
	}
	if !s.beginCall() {
		return nil
	}
	unregister := s.registerLocal(l)
	err = s.acceptCalls(ctx, l)
	unregister()
	s.endCall()
	if !s.isDraining() {
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

// acceptCalls starts calls until the listener or the context ends.
func (s *Server) acceptCalls(ctx context.Context, l driver.Listener) error {
	var pause transport.RetryPause
	for {
		in, err := l.Accept(ctx)
		switch {
		case err == nil:
			pause.Reset()
			s.startCall(in)
		case ctx.Err() != nil:
			return ctx.Err()
		case transport.EndsServer(err):
			return err
		default:
			slog.WarnContext(ctx, "rpc: a server cannot accept calls; retrying", "service", s.Service, "error", err)
			pause.Wait(ctx)
		}
	}
}

// acceptedCall is a call that came over the carrier.
type acceptedCall struct {
	server *Server
	in     driver.Incoming
}

func (c *acceptedCall) run() {
	defer c.server.endCall()
	c.server.serveCall(c.in)
}

// startCall serves a call in another goroutine. It also serves a call that comes
// while the server drains, because no other server can get that call.
func (s *Server) startCall(in driver.Incoming) {
	if s.life.Err() != nil {
		_ = transport.CloseWithTimeout(in.Stream.Close) // the caller gets Unavailable
		return
	}
	s.mu.Lock()
	s.running++ // it was not 0, since Serve runs
	s.mu.Unlock()
	s.workers.start(&acceptedCall{s, in})
}

// beginCall counts a call, and reports whether it may run.
func (s *Server) beginCall() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.running++
	return true
}

func (s *Server) endCall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.stopping && s.running == 0 {
		close(s.idle)
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// GracefulStop implements [transport.Server].
func (s *Server) GracefulStop(ctx context.Context) error {
	err := s.closeListener()
	select {
	case <-s.idle:
	case <-s.life.Done():
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.release()
	return err
}

// Stop implements [transport.Server].
func (s *Server) Stop() {
	_ = s.closeListener() // a listener that cannot be closed ends with its provider
	s.release()
}

// closeListener closes the listener, once. The server still serves calls that the
// driver hands over meanwhile, because only the driver can give calls to another
// server.
func (s *Server) closeListener() (err error) {
	s.mu.Lock()
	draining, l := s.draining, s.listener
	s.draining = true
	s.mu.Unlock()
	if draining {
		return nil
	}
	if l != nil {
		err = transport.CloseWithTimeout(l.Close)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.running == 0 {
		close(s.idle)
	}
	return err
}

func (s *Server) release() {
	s.end()
	s.Handle.Close()
}
