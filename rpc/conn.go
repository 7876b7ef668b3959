package rpc

import (
	"context"

	"google.golang.org/grpc"

	"fairlead.dev/internal/portable"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Conn calls the servers of one service name. It is what generated clients
// are made from.
type Conn struct {
	handle  *portable.Handle
	carrier driver.Carrier
	service string
	options []grpc.CallOption // before those of a call
	unary   grpc.UnaryClientInterceptor
	stream  grpc.StreamClientInterceptor
	// placeholder is what interceptors get; nil if there are none.
	placeholder *grpc.ClientConn

	life context.Context // ends with Close
	end  context.CancelCauseFunc
}

// Dial returns a connection to the servers of that name. Nothing is sent:
// whether somebody serves the name is seen by each call. A name has 1 to 128
// of the characters A–Z a–z 0–9 . _ - and starts with a letter or digit. The
// context bounds Dial alone.
//
// Errors: Unsupported if the provider has no rpc facet, or if a requirement
// is not met; Invalid for a bad name or option; Closed.
func Dial(ctx context.Context, p providers.Provider, service string, opts ...DialOption) (*Conn, error) {
	c, err := dial(ctx, p, service, opts)
	return c, providers.Annotate(err, "rpc.Dial", "")
}

func dial(ctx context.Context, p providers.Provider, service string, opts []DialOption) (*Conn, error) {
	var cfg dialConfig
	for _, o := range opts {
		if err := o.dial(&cfg); err != nil {
			return nil, err
		}
	}
	h, carrier, err := open(ctx, p, service, cfg.require)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		handle: h, carrier: carrier, service: service, options: cfg.calls,
		unary: chainUnaryClient(cfg.unary), stream: chainStreamClient(cfg.stream),
	}
	if c.unary != nil || c.stream != nil {
		if c.placeholder, err = newPlaceholder(service); err != nil {
			h.Close()
			return nil, err
		}
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// open checks what Dial and NewServer have in common.
func open(ctx context.Context, p providers.Provider, service string, reqs []providers.Requirement) (*portable.Handle, driver.Carrier, error) {
	if err := portable.CheckName("service", service); err != nil {
		return nil, nil, err
	}
	h, err := portable.Open(ctx, p, providers.RPC, reqs)
	if err != nil {
		return nil, nil, err
	}
	carrier, ok := p.(driver.Provider)
	if !ok {
		h.Close()
		err := providers.Errorf(providers.Internal, "the provider describes the rpc facet and does not implement it")
		return nil, nil, providers.Annotate(err, "", h.Provider)
	}
	return h, carrier, nil
}

// Close ends all calls of the connection with Canceled, and releases it. It
// does not wait for the server. Calls after the first return nil.
func (c *Conn) Close() error {
	if c.life.Err() != nil {
		return nil
	}
	c.end(errConnClosed)
	c.handle.Close()
	if c.placeholder != nil {
		_ = c.placeholder.Close() // it was never used
	}
	return nil
}

// Invoke implements [grpc.ClientConnInterface].
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.unary == nil {
		return c.invoke(ctx, method, args, reply, nil, opts...)
	}
	return c.unary(ctx, method, args, reply, c.placeholder, c.invoke, opts...)
}

// invoke is a [grpc.UnaryInvoker].
func (c *Conn) invoke(ctx context.Context, method string, args, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
	call, err := c.prepare(ctx, &grpc.StreamDesc{}, method, opts)
	if err != nil {
		return err
	}
	payload, err := call.codec.marshal(args)
	if err != nil {
		return call.abandon(err)
	}
	message := driver.Frame{Kind: driver.FrameMessage, Payload: payload}
	stream, err := call.open(message, driver.Frame{Kind: driver.FrameHalfClose})
	if err != nil {
		return err
	}
	stream.sentLast = true
	return stream.RecvMsg(reply)
}

// NewStream implements [grpc.ClientConnInterface].
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.stream == nil {
		return c.newStream(ctx, desc, nil, method, opts...)
	}
	return c.stream(ctx, desc, c.placeholder, method, c.newStream, opts...)
}

// newStream is a [grpc.Streamer].
func (c *Conn) newStream(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	call, err := c.prepare(ctx, desc, method, opts)
	if err != nil {
		return nil, err
	}
	stream, err := call.open()
	if err != nil {
		return nil, err // not stream: a nil pointer in an interface is not nil
	}
	return stream, nil
}
