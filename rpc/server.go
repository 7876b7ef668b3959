package rpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/carrier"
	"fairlead.dev/rpc/internal/directory"
	"fairlead.dev/rpc/internal/transport"
)

var _ grpc.ServiceRegistrar = (*Server)(nil)

// Server serves one service name. Register the implementations with the
// generated functions, then call [Server.Serve].
type Server struct {
	provider string // its name
	object   string // for errors: the service's name
	services *transport.Services
	server   transport.Server

	completing sync.Once // of completeServices
}

// NewServer returns a server of a name. No call reaches it before
// [Server.Listen] or [Server.Serve]. A name has 1 to 128 of the characters
// A–Z a–z 0–9 . _ - and starts with a letter or digit. The context bounds only
// NewServer itself. Stop a server that is not needed any more, also if it never
// served.
//
// Errors: Unsupported if the provider has no rpc facet, or if a requirement or
// an option is not met; Invalid for a bad name or option; Closed.
func NewServer(ctx context.Context, p fairlead.Provider, service string, opts ...ServerOption) (*Server, error) {
	s, err := newServer(ctx, p, service, opts)
	return s, handle.Annotate(err, "rpc.NewServer", "", objectOf(service), "")
}

func newServer(ctx context.Context, p fairlead.Provider, service string, opts []ServerOption) (*Server, error) {
	cfg := newServerConfig()
	for i, o := range opts {
		if o == nil {
			return nil, handle.NilOption("rpc.NewServer", i)
		}
		if err := o.applyToServer(&cfg); err != nil {
			return nil, err
		}
	}
	h, err := openHandle(ctx, p, service, cfg.require)
	if err != nil {
		return nil, err
	}
	cfg.Handle, cfg.Service = h, service
	server, err := cfg.newTransportServer(p)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	return &Server{provider: h.Provider, object: objectOf(service), services: cfg.Services, server: server}, nil
}

// newTransportServer returns a server of the transport that fits the provider.
func (cfg serverConfig) newTransportServer(p fairlead.Provider) (transport.Server, error) {
	if cfg.Handle.Facet.Has(Directory) {
		d, err := asDriver[driver.Directory](p)
		if err != nil {
			return nil, err
		}
		return directory.NewServer(d, cfg.ServerConfig, cfg.directory.Options), nil
	}
	c, err := asDriver[driver.Carrier](p)
	if err == nil {
		err = cfg.directory.refuse()
	}
	if err != nil {
		return nil, err
	}
	return carrier.NewServer(c, cfg.ServerConfig), nil
}

// RegisterService implements [grpc.ServiceRegistrar]; generated code calls it.
// As in gRPC, call it before Listen and Serve. It panics on a mistake of the
// program: a call after Listen or Serve, a service that is registered already,
// an implementation of the wrong type.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.services.AddService(desc, impl)
	s.server.RegisterService(desc, impl)
}

// GetServiceInfo returns the registered services by name. The reflection service
// needs it.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.services.Infos() }

// completeServices registers the services of Handle. The server takes no more
// services afterwards.
func (s *Server) completeServices() {
	s.completing.Do(func() {
		for _, desc := range s.services.TakeMethods() {
			s.RegisterService(desc, nil)
		}
		s.services.Freeze()
	})
}

// Listen makes the server reachable: after its return, calls come to it and wait
// until Serve runs. Serve listens by itself if Listen was not called. Listen
// returns nil if the server listens already, and Closed if it was stopped.
func (s *Server) Listen(ctx context.Context) error {
	s.completeServices()
	return s.annotate(s.server.Listen(ctx), "rpc.Listen")
}

// Serve listens and serves calls until the server is stopped, and then returns
// nil. It also returns nil if the server was stopped before. After Close it
// returns when the last call has ended. When the context ends, it stops the
// server as [Server.Stop] does and returns the context's error. Call it once.
// Each call has a goroutine of its own.
func (s *Server) Serve(ctx context.Context) error {
	s.completeServices()
	return s.annotate(s.server.Serve(ctx), "rpc.Serve")
}

// Close accepts no more calls, waits until the running calls have ended, and
// releases the server, as GracefulStop of a gRPC server does. Close the provider
// before the program ends: until then the last replies may still be in flight. If
// the context ends before the calls do, Close stops the server as [Server.Stop]
// does and returns the context's error.
func (s *Server) Close(ctx context.Context) error {
	s.completeServices()
	return s.annotate(s.server.GracefulStop(ctx), "rpc.Close")
}

// Stop ends the server at once: it accepts no more calls and cancels the
// contexts of the running ones, whose callers get Unavailable. It does not wait
// for their handlers. It may be called several times, and after Close.
func (s *Server) Stop() {
	s.completeServices()
	s.server.Stop()
}

func (s *Server) annotate(err error, op string) error {
	return handle.Annotate(err, op, s.provider, s.object, "")
}
