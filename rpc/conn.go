package rpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/carrier"
	"fairlead.dev/rpc/internal/directory"
	"fairlead.dev/rpc/internal/transport"
)

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Conn calls the servers of one service name. Pass it to the constructors of
// generated clients.
type Conn struct {
	client transport.Client
}

// Dial returns a connection to the servers of a name. It sends nothing: each
// call finds out whether a server has that name. A name has 1 to 128 of the
// characters A–Z a–z 0–9 . _ - and starts with a letter or digit. The context
// bounds only Dial itself.
//
// Errors: Unsupported if the provider has no rpc facet, or if a requirement or
// an option is not met; Invalid for a bad name or option; Closed.
func Dial(ctx context.Context, p fairlead.Provider, service string, opts ...DialOption) (*Conn, error) {
	client, err := newClient(ctx, p, service, opts)
	if err != nil {
		return nil, handle.Annotate(err, "rpc.Dial", "", objectOf(service), "")
	}
	return &Conn{client: client}, nil
}

func newClient(ctx context.Context, p fairlead.Provider, service string, opts []DialOption) (transport.Client, error) {
	var cfg dialConfig
	for i, o := range opts {
		if o == nil {
			return nil, handle.NilOption("rpc.Dial", i)
		}
		if err := o.applyToDial(&cfg); err != nil {
			return nil, err
		}
	}
	h, err := openHandle(ctx, p, service, cfg.require)
	if err != nil {
		return nil, err
	}
	cfg.Handle, cfg.Service = h, service
	client, err := cfg.newTransportClient(p)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	return client, nil
}

// newTransportClient returns a client of the transport that fits the provider.
func (cfg dialConfig) newTransportClient(p fairlead.Provider) (transport.Client, error) {
	if cfg.Handle.Facet.Has(Directory) {
		d, err := asDriver[driver.Directory](p)
		if err != nil {
			return nil, err
		}
		return directory.NewConn(d, cfg.ClientConfig, cfg.directory.Options)
	}
	c, err := asDriver[driver.Carrier](p)
	if err == nil {
		err = cfg.directory.refuse()
	}
	if err != nil {
		return nil, err
	}
	return carrier.NewConn(c, cfg.ClientConfig)
}

// objectOf names a service in an error.
func objectOf(service string) string { return fmt.Sprintf("service %q", service) }

// openHandle makes the checks that Dial and NewServer have in common.
func openHandle(ctx context.Context, p fairlead.Provider, service string, reqs []fairlead.Requirement) (*handle.Handle, error) {
	if err := handle.ValidateName("service", service); err != nil {
		return nil, err
	}
	return handle.Open(ctx, p, fairlead.RPC, reqs)
}

// asDriver returns the provider as the driver that its description promises.
func asDriver[D any](p fairlead.Provider) (D, error) {
	d, ok := p.(D)
	if !ok {
		return d, fairlead.Errorf(fairlead.Internal, "the provider describes the rpc facet and does not implement it")
	}
	return d, nil
}

// Invoke implements [grpc.ClientConnInterface].
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.client.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements [grpc.ClientConnInterface].
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.client.NewStream(ctx, desc, method, opts...)
}

// Close ends all calls of the connection with Canceled, and releases it. It does
// not wait for the servers, so it works after ctx has ended, too. Calls after the
// first one return nil.
func (c *Conn) Close(context.Context) error { return c.client.Close() }
