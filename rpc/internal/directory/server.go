package directory

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

var _ transport.Server = (*Server)(nil)

// Server is a gRPC server that is registered in a directory.
type Server struct {
	transport.ServerConfig
	directory driver.Directory
	options   Options
	grpc      *grpc.Server
	health    *health.Server // nil if the program registered its own

	life      context.Context // of the registration; ends with the server
	end       context.CancelFunc
	keeper    sync.WaitGroup // of keepRegistered
	listening sync.Mutex     // held by Listen

	mu           sync.Mutex
	listener     net.Listener        // nil before Listen
	registration driver.Registration // nil before Listen
	serving      bool
	stopping     bool
	stopCause    error // why the server stopped itself; nil if the program stopped it
}

// NewServer returns a server that does not listen yet.
func NewServer(d driver.Directory, cfg transport.ServerConfig, options Options) *Server {
	s := &Server{ServerConfig: cfg, directory: d, options: options}
	s.life, s.end = context.WithCancel(context.Background())
	checks := serverChecks{cfg.Handle}
	s.grpc = grpc.NewServer(
		grpc.Creds(options.credentials()),
		grpc.MaxRecvMsgSize(cfg.MaxRecvMsgSize),
		grpc.StaticStreamWindowSize(streamWindow), grpc.StaticConnWindowSize(connWindow),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{checks.interceptUnary}, cfg.UnaryInterceptors...)...),
		grpc.ChainStreamInterceptor(append([]grpc.StreamServerInterceptor{checks.interceptStream}, cfg.StreamInterceptors...)...))
	return s
}

// RegisterService implements [transport.Server].
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
}

// Listen implements [transport.Server].
func (s *Server) Listen(ctx context.Context) error {
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	listens, stopping := s.listener != nil, s.stopping
	s.mu.Unlock()
	switch {
	case stopping:
		return errStopped()
	case listens:
		return nil
	}
	s.addHealthService()
	l, err := listenAddress(ctx, s.options.listenAddressOrDefault())
	if err != nil {
		return err
	}
	r, err := s.registerEndpoint(ctx, l.Addr())
	if err == nil {
		err = s.beginListening(l, r)
	}
	if err != nil {
		_ = l.Close() // no client has its address
	}
	return err
}

// addHealthService adds gRPC's health service, which clients watch, unless the
// program has registered one.
func (s *Server) addHealthService() {
	if s.health != nil || s.Services.Has(healthpb.Health_ServiceDesc.ServiceName) {
		return
	}
	s.health = health.NewServer()
	healthpb.RegisterHealthServer(s.grpc, s.health)
}

func errStopped() error { return fairlead.Errorf(fairlead.Closed, "the server was stopped") }

func (s *Server) registerEndpoint(ctx context.Context, at net.Addr) (driver.Registration, error) {
	address, err := addressToAdvertise(s.options.advertiseAddress, at)
	if err != nil {
		return nil, err
	}
	return s.directory.Register(ctx, driver.RegisterConfig{Service: s.Service, Endpoint: driver.Endpoint{Address: address}})
}

func (s *Server) beginListening(l net.Listener, r driver.Registration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping { // Stop came in between, and did not see the registration
		_ = transport.CloseWithTimeout(r.Close)
		return errStopped()
	}
	s.listener, s.registration = l, r
	s.keeper.Go(func() { s.keepRegistered(r) })
	return nil
}

// keptTime is how long Keep lasts when it renews the registration: the pause after
// its failure is short again.
const keptTime = time.Second

// keepRegistered renews the registration until the server ends. It stops the
// server if the registration cannot be renewed any more, for example because the
// provider was closed.
func (s *Server) keepRegistered(r driver.Registration) {
	var pause transport.RetryPause
	for {
		began := time.Now()
		err := r.Keep(s.life)
		switch {
		case s.life.Err() != nil:
			return
		case transport.EndsServer(err):
			go s.stopBecause(err) // it waits for this goroutine
			return
		}
		slog.Warn("rpc: the registration of a server cannot be renewed; retrying", "service", s.Service, "error", err)
		if time.Since(began) > keptTime {
			pause.Reset()
		}
		pause.Wait(s.life)
	}
}

func (s *Server) stopBecause(cause error) {
	s.mu.Lock()
	if !s.stopping {
		s.stopCause = cause
	}
	s.mu.Unlock()
	s.Stop()
}

// Serve implements [transport.Server].
func (s *Server) Serve(ctx context.Context) error {
	err := s.Listen(ctx)
	s.mu.Lock()
	l, stopping, serving := s.listener, s.stopping, s.serving
	s.serving = s.serving || err == nil
	s.mu.Unlock()
	switch {
	case stopping:
		return s.cause()
	case err != nil:
		return err
	case serving:
		return fairlead.Errorf(fairlead.Invalid, "Serve runs already; call it once")
	}
	defer context.AfterFunc(ctx, s.Stop)()
	err = s.grpc.Serve(l)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.isStopping() {
		return s.cause()
	}
	s.Stop()
	return fairlead.Errorf(fairlead.Unavailable, "the server accepts no more calls: %w", err)
}

func (s *Server) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopCause
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// deregister removes the server from the directory, once.
func (s *Server) deregister() error {
	s.mu.Lock()
	stopping, r := s.stopping, s.registration
	s.stopping = true
	s.mu.Unlock()
	if stopping || r == nil {
		return nil
	}
	s.end() // before Close, since Keep would register the server again
	s.keeper.Wait()
	return transport.CloseWithTimeout(r.Close)
}

// GracefulStop implements [transport.Server].
func (s *Server) GracefulStop(ctx context.Context) error {
	err := s.deregister()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.Stop()
	return err
}

// Stop implements [transport.Server].
func (s *Server) Stop() {
	_ = s.deregister() // an endpoint that cannot be removed vanishes with its lease
	go s.grpc.Stop()
	s.end()
	s.keeper.Wait()
	s.Handle.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close() // grpc closes it only if Serve was called
	}
}
