package rpc

import (
	"context"

	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
)

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Conn calls the servers of one service name. It is what generated clients
// are made from.
type Conn struct {
	calls connection
}

// connection is what carries the calls: frames of a carrier, or gRPC itself.
type connection interface {
	grpc.ClientConnInterface
	Close() error
}

// Dial returns a connection to the servers of that name. Nothing is sent:
// whether somebody serves the name is seen by each call. A name has 1 to 128
// of the characters A–Z a–z 0–9 . _ - and starts with a letter or digit. The
// context bounds Dial alone.
//
// Errors: Unsupported if the provider has no rpc facet, or if a requirement
// or an option is not met; Invalid for a bad name or option; Closed.
func Dial(ctx context.Context, p fairlead.Provider, service string, opts ...DialOption) (*Conn, error) {
	c, err := dial(ctx, p, service, opts)
	if err != nil {
		return nil, fairlead.Annotate(err, "rpc.Dial", "")
	}
	return &Conn{calls: c}, nil
}

func dial(ctx context.Context, p fairlead.Provider, service string, opts []DialOption) (connection, error) {
	var cfg dialConfig
	for _, o := range opts {
		if err := o.dial(&cfg); err != nil {
			return nil, err
		}
	}
	h, err := open(ctx, p, service, cfg.require)
	if err != nil {
		return nil, err
	}
	c, err := cfg.connect(h, p, service)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	return c, nil
}

// connect makes the connection that fits the provider.
func (cfg dialConfig) connect(h *handle.Handle, p fairlead.Provider, service string) (connection, error) {
	if h.Facet.Has(Directory) {
		d, err := as[driver.Directory](p)
		if err != nil {
			return nil, err
		}
		return newDirectConn(h, d, service, cfg)
	}
	carrier, err := as[driver.Carrier](p)
	if err == nil {
		err = cfg.direct.refuse()
	}
	if err != nil {
		return nil, err
	}
	return newCarrierConn(h, carrier, service, cfg)
}

// open checks what Dial and NewServer have in common.
func open(ctx context.Context, p fairlead.Provider, service string, reqs []fairlead.Requirement) (*handle.Handle, error) {
	if err := handle.CheckName("service", service); err != nil {
		return nil, err
	}
	return handle.Open(ctx, p, fairlead.RPC, reqs)
}

// as returns the provider as the driver that its description says it is.
func as[D any](p fairlead.Provider) (D, error) {
	d, ok := p.(D)
	if !ok {
		return d, fairlead.Errorf(fairlead.Internal, "the provider describes the rpc facet and does not implement it")
	}
	return d, nil
}

// Invoke implements [grpc.ClientConnInterface].
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.calls.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements [grpc.ClientConnInterface].
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.calls.NewStream(ctx, desc, method, opts...)
}

// Close ends all calls of the connection with Canceled, and releases it. It
// does not wait for the server. Calls after the first return nil.
func (c *Conn) Close() error { return c.calls.Close() }
