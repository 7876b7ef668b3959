package rpc

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
)

// directServer is a gRPC server that is registered in a directory.
type directServer struct {
	handle    *handle.Handle
	directory driver.Directory
	service   string
	config    directConfig
	grpc      *grpc.Server
	registry  *registry
	health    *health.Server // nil if the program has its own

	life   context.Context // of the registration; ends with the server
	end    context.CancelFunc
	keeper sync.WaitGroup
	asking sync.Mutex // held while it begins to listen

	mu           sync.Mutex
	listener     net.Listener
	registration driver.Registration
	serving      bool
	stopping     bool
	lost         error // why it was stopped, if its program did not do it
}

func newDirectServer(h *handle.Handle, d driver.Directory, service string, cfg serverConfig, r *registry) *directServer {
	s := &directServer{handle: h, directory: d, service: service, config: cfg.direct, registry: r}
	s.life, s.end = context.WithCancel(context.Background())
	guards := guards{h}
	s.grpc = grpc.NewServer(
		grpc.Creds(cfg.direct.credentials()),
		grpc.MaxRecvMsgSize(cfg.maxRecv),
		grpc.StaticStreamWindowSize(streamWindow), grpc.StaticConnWindowSize(connWindow),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingAfter / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{guards.unary}, cfg.unary...)...),
		grpc.ChainStreamInterceptor(append([]grpc.StreamServerInterceptor{guards.stream}, cfg.stream...)...))
	return s
}

func (s *directServer) register(desc *grpc.ServiceDesc, impl any) { s.grpc.RegisterService(desc, impl) }

func (s *directServer) listen(ctx context.Context) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	listening, stopping := s.listener != nil, s.stopping
	s.mu.Unlock()
	switch {
	case stopping:
		return errStopped()
	case listening:
		return nil
	}
	s.addHealth()
	l, err := listenAt(ctx, s.config.at())
	if err != nil {
		return err
	}
	r, err := s.enter(ctx, l.Addr())
	if err == nil {
		err = s.use(l, r)
	}
	if err != nil {
		_ = l.Close() // nobody has seen it
	}
	return err
}

// addHealth adds gRPC's health service, which clients ask for, unless the
// program has registered one.
func (s *directServer) addHealth() {
	if s.health != nil || s.registry.has(healthpb.Health_ServiceDesc.ServiceName) {
		return
	}
	s.health = health.NewServer()
	healthpb.RegisterHealthServer(s.grpc, s.health)
}

func errStopped() error { return fairlead.Errorf(fairlead.Closed, "the server was stopped") }

// enter registers the server.
func (s *directServer) enter(ctx context.Context, at net.Addr) (driver.Registration, error) {
	address, err := advertised(s.config.advertise, at)
	if err != nil {
		return nil, err
	}
	return s.directory.Register(ctx, driver.RegisterConfig{Service: s.service, Endpoint: driver.Endpoint{Address: address}})
}

func (s *directServer) use(l net.Listener, r driver.Registration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		_ = soon(r.Close) // stop came in between, and did not see it
		return errStopped()
	}
	s.listener, s.registration = l, r
	s.keeper.Go(func() { s.keep(r) })
	return nil
}

// keep keeps the registration up. When it cannot be kept any more, because the
// provider was closed, the server is stopped.
func (s *directServer) keep(r driver.Registration) {
	for {
		err := r.Keep(s.life)
		switch {
		case s.life.Err() != nil:
			return
		case fairlead.CodeOf(err) != fairlead.Unavailable:
			go s.lose(err) // it waits for this goroutine
			return
		}
		slog.Warn("rpc: a server cannot be kept registered, trying again", "service", s.service, "error", err)
		await.Pause(s.life, retryPause)
	}
}

func (s *directServer) lose(err error) {
	s.mu.Lock()
	if !s.stopping {
		s.lost = err
	}
	s.mu.Unlock()
	s.stop()
}

func (s *directServer) serve(ctx context.Context) error {
	err := s.listen(ctx)
	s.mu.Lock()
	l, stopping, twice := s.listener, s.stopping, s.serving
	s.serving = s.serving || err == nil
	s.mu.Unlock()
	switch {
	case stopping:
		return s.reason()
	case err != nil:
		return err
	case twice:
		return fairlead.Errorf(fairlead.Invalid, "Serve runs already; call it once")
	}
	defer context.AfterFunc(ctx, s.stop)()
	err = s.grpc.Serve(l)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.isStopping() {
		return s.reason()
	}
	s.stop()
	return fairlead.Errorf(fairlead.Unavailable, "the server takes no more calls: %w", err)
}

func (s *directServer) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func (s *directServer) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// leave takes the server out of the directory, once.
func (s *directServer) leave() error {
	s.mu.Lock()
	first, r := !s.stopping, s.registration
	s.stopping = true
	s.mu.Unlock()
	if !first || r == nil {
		return nil
	}
	s.end() // before Close: what is kept up would come back
	s.keeper.Wait()
	return soon(r.Close)
}

func (s *directServer) gracefulStop(ctx context.Context) error {
	err := s.leave()
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
	s.stop()
	return err
}

func (s *directServer) stop() {
	_ = s.leave() // an endpoint that cannot be removed vanishes with its lease
	go s.grpc.Stop()
	s.end()
	s.keeper.Wait()
	s.handle.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close() // if nothing served it, nothing has closed it
	}
}
