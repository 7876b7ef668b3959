package rpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
)

var _ grpc.ServiceRegistrar = (*Server)(nil)

// Server serves one service name. Register the implementations with the
// generated functions, then call [Server.Serve].
type Server struct {
	handle   *handle.Handle
	registry *registry
	calls    callServer

	completing sync.Once
}

// callServer is where the calls come from: a carrier, or gRPC itself. Its
// methods are those of Server.
type callServer interface {
	register(desc *grpc.ServiceDesc, impl any)
	listen(ctx context.Context) error
	serve(ctx context.Context) error
	gracefulStop(ctx context.Context) error
	stop()
}

// NewServer returns a server of that name, which nobody reaches before
// [Server.Listen] or [Server.Serve]. A name has 1 to 128 of the characters
// A–Z a–z 0–9 . _ - and starts with a letter or digit. The context bounds
// NewServer alone. A server that is not needed any more is stopped, also if
// it never served.
//
// Errors: Unsupported if the provider has no rpc facet, or if a requirement
// or an option is not met; Invalid for a bad name or option; Closed.
func NewServer(ctx context.Context, p fairlead.Provider, service string, opts ...ServerOption) (*Server, error) {
	s, err := newServer(ctx, p, service, opts)
	return s, fairlead.Annotate(err, "rpc.NewServer", "")
}

func newServer(ctx context.Context, p fairlead.Provider, service string, opts []ServerOption) (*Server, error) {
	cfg := serverConfig{maxRecv: defaultMaxRecv}
	for _, o := range opts {
		if err := o.server(&cfg); err != nil {
			return nil, err
		}
	}
	h, err := open(ctx, p, service, cfg.require)
	if err != nil {
		return nil, err
	}
	s := &Server{handle: h, registry: newRegistry()}
	if s.calls, err = cfg.serverOf(s, p, service); err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	return s, nil
}

// serverOf makes the server that fits the provider.
func (cfg serverConfig) serverOf(s *Server, p fairlead.Provider, service string) (callServer, error) {
	if s.handle.Facet.Has(Directory) {
		d, err := as[driver.Directory](p)
		if err != nil {
			return nil, err
		}
		return newDirectServer(s.handle, d, service, cfg, s.registry), nil
	}
	carrier, err := as[driver.Carrier](p)
	if err == nil {
		err = cfg.direct.refuse()
	}
	if err != nil {
		return nil, err
	}
	return newCarrierServer(s.handle, carrier, service, cfg, s.registry), nil
}

// RegisterService implements [grpc.ServiceRegistrar]; generated code calls
// it. As in gRPC it is called before Serve, and a mistake of the program
// (after Listen or Serve, a service twice, an implementation of the wrong
// type) is fatal: it panics.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	checkImplementation(desc, impl)
	s.registry.add(desc)
	s.calls.register(desc, impl)
}

// GetServiceInfo returns what is registered, by the names of the services. It
// is what the reflection service asks for.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.registry.info() }

// Listen makes the server reachable: from its return on, calls come to it and
// wait until Serve runs. Serve listens by itself if Listen was not called. It
// returns nil if the server listens already, and Closed if it was stopped.
func (s *Server) Listen(ctx context.Context) error {
	s.complete()
	return fairlead.Annotate(s.calls.listen(ctx), "rpc.Listen", s.handle.Provider)
}

// Serve listens and takes calls until the server is stopped, and then, or if
// it was stopped before, returns nil; after GracefulStop it returns when the
// last call has ended. When the context ends it stops as [Server.Stop] does
// and returns the context's error. Call it once; calls are handled in
// goroutines of their own.
func (s *Server) Serve(ctx context.Context) error {
	s.complete()
	return fairlead.Annotate(s.calls.serve(ctx), "rpc.Serve", s.handle.Provider)
}

// GracefulStop takes no more calls, waits until those under way have ended,
// and releases the server. Close the provider before the program ends: until
// then the last answers may still be on their way. If the context ends first
// it stops as [Server.Stop] does and returns the context's error.
func (s *Server) GracefulStop(ctx context.Context) error {
	s.complete()
	return fairlead.Annotate(s.calls.gracefulStop(ctx), "rpc.GracefulStop", s.handle.Provider)
}

// Stop ends the server at once: it takes no more calls, cancels the contexts
// of those under way, whose callers get Unavailable, and does not wait for
// their handlers. It may be called several times, and after GracefulStop.
func (s *Server) Stop() {
	s.complete()
	s.calls.stop()
}
