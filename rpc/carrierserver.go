package rpc

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
)

// acceptPause is how long Serve waits before it accepts again when the
// backend is away.
const acceptPause = 100 * time.Millisecond

// carrierServer takes calls from a carrier.
type carrierServer struct {
	handle  *handle.Handle
	carrier driver.Carrier
	service string
	codec   codec
	unary   grpc.UnaryServerInterceptor
	stream  grpc.StreamServerInterceptor

	life context.Context // of all calls; ends with Stop
	end  context.CancelFunc
	base context.Context // of the contexts of handlers, within life
	bare context.Context // base for a call without metadata

	asking  sync.Mutex // held while Listen asks the driver
	serving atomic.Bool

	registry *registry
	workers  *workers

	mu       sync.Mutex
	methods  map[string]method // by full name; does not change once it listens
	listener driver.Listener   // nil before Listen
	draining bool              // Stop or GracefulStop has begun
	stopping bool              // it does not listen any more: no new calls
	work     int               // calls, and Serve while it accepts
	idle     chan struct{}     // closed when stopping and there is no work
}

func newCarrierServer(h *handle.Handle, carrier driver.Carrier, service string, cfg serverConfig, r *registry) *carrierServer {
	s := &carrierServer{
		handle: h, carrier: carrier, service: service, registry: r,
		codec: newCodec(defaultMaxSend, cfg.maxRecv, h.Facet.Limits.MaxFrameBytes),
		unary: chainUnaryServer(cfg.unary), stream: chainStreamServer(cfg.stream),
		methods: map[string]method{},
		idle:    make(chan struct{}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.workers = newWorkers(s.life)
	s.base = newBase(s.life, h.Provider, service)
	s.bare = metadata.NewIncomingContext(s.base, metadata.MD{})
	return s
}

func (s *carrierServer) listen(ctx context.Context) error {
	_, err := s.listening(ctx)
	return err
}

func (s *carrierServer) listening(ctx context.Context) (driver.Listener, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	l, draining := s.listener, s.draining
	s.mu.Unlock()
	if draining {
		return nil, fairlead.Errorf(fairlead.Closed, "the server was stopped")
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
	if s.draining {
		_ = soon(l.Close) // Stop came in between, and did not see it
		return nil, fairlead.Errorf(fairlead.Closed, "the server was stopped")
	}
	s.listener = l
	return l, nil
}

func (s *carrierServer) serve(ctx context.Context) error {
	l, err := s.listening(ctx)
	if s.isDraining() {
		return nil
	}
	if err != nil {
		return err
	}
	if !s.serving.CompareAndSwap(false, true) {
		return fairlead.Errorf(fairlead.Invalid, "Serve runs already; call it once")
	}
	if !s.begin() {
		return nil
	}
	leave := s.enterProcess(l)
	err = s.accept(ctx, l)
	leave()
	s.done()
	if !s.isDraining() {
		s.stop()
		return err
	}
	select {
	case <-s.idle:
	case <-s.life.Done():
	case <-ctx.Done():
		s.stop()
		return ctx.Err()
	}
	return nil
}

// accept takes calls until the listener or the context ends.
func (s *carrierServer) accept(ctx context.Context, l driver.Listener) error {
	for {
		in, err := l.Accept(ctx)
		switch {
		case err == nil:
			s.take(in)
		case ctx.Err() != nil:
			return ctx.Err()
		case fairlead.CodeOf(err) != fairlead.Unavailable:
			return err
		default:
			slog.WarnContext(ctx, "rpc: no calls can be taken, trying again", "service", s.service, "error", err)
			await.Pause(ctx, acceptPause)
		}
	}
}

// accepted is a call that came over the carrier.
type accepted struct {
	server *carrierServer
	in     driver.Incoming
}

func (a *accepted) run() {
	defer a.server.done()
	a.server.handleCall(a.in)
}

// take handles a call in another goroutine. One that comes while the server
// drains is carried out, too: nobody else has it.
func (s *carrierServer) take(in driver.Incoming) {
	if s.life.Err() != nil {
		_ = soon(in.Stream.Close) // the caller gets Unavailable
		return
	}
	s.mu.Lock()
	s.work++ // cannot be the first: Serve has begun
	s.mu.Unlock()
	s.workers.do(&accepted{s, in})
}

// begin counts a piece of work, and reports whether it may begin.
func (s *carrierServer) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.work++
	return true
}

func (s *carrierServer) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work--
	if s.stopping && s.work == 0 {
		close(s.idle)
	}
}

func (s *carrierServer) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func (s *carrierServer) gracefulStop(ctx context.Context) error {
	err := s.drain()
	select {
	case <-s.idle:
	case <-s.life.Done():
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.release()
	return err
}

func (s *carrierServer) stop() {
	_ = s.drain() // a listener that cannot be closed ends with its provider
	s.release()
}

// drain stops listening, once. Calls that are accepted meanwhile are carried
// out: only the driver can give others back.
func (s *carrierServer) drain() (err error) {
	s.mu.Lock()
	first, l := !s.draining, s.listener
	s.draining = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	if l != nil {
		err = soon(l.Close)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.work == 0 {
		close(s.idle)
	}
	return err
}

func (s *carrierServer) release() {
	s.end()
	s.handle.Close()
}

// soon closes something within closeTimeout.
func soon(closeIt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return closeIt(ctx)
}
