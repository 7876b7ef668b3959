// Package carrier is the transport of package rpc over a provider that carries
// calls itself: it makes gRPC of the frames that a [driver.Carrier] moves. It
// has the streams at both ends, their flow control, the codecs, metadata and
// status, and a short path for unary calls within one process.
package carrier

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

var _ transport.Client = (*Conn)(nil)

// Conn makes calls over a carrier.
type Conn struct {
	handle  *handle.Handle
	carrier driver.Carrier
	service string
	peer    peer.Peer         // of every call
	options []grpc.CallOption // precede the options of a call
	dialed  time.Time
	unary   grpc.UnaryClientInterceptor
	stream  grpc.StreamClientInterceptor
	// placeholder is the connection that interceptors get; nil if there are none.
	placeholder *grpc.ClientConn

	life context.Context // ends with Close
	end  context.CancelCauseFunc

	local     driver.Local    // nil if servers may be in other processes
	localLife context.Context // ends with Close, or with the provider
}

// NewConn returns a connection. It does not call the carrier.
func NewConn(carrier driver.Carrier, cfg transport.ClientConfig) (*Conn, error) {
	c := &Conn{
		handle: cfg.Handle, carrier: carrier, service: cfg.Service, options: cfg.CallOptions, dialed: time.Now(),
		peer:  peer.Peer{Addr: peerAddr{network: cfg.Handle.Provider, name: cfg.Service}},
		unary: chainUnaryClient(cfg.UnaryInterceptors), stream: chainStreamClient(cfg.StreamInterceptors),
	}
	if _, err := newCallOptions(cfg.CallOptions); err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "WithDefaultCallOptions: %s", status.Convert(err).Message())
	}
	if c.unary != nil || c.stream != nil {
		var err error
		if c.placeholder, err = newPlaceholderConn(cfg.Service); err != nil {
			return nil, err
		}
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	if c.local, _ = carrier.(driver.Local); c.local != nil {
		var end context.CancelFunc
		c.localLife, end = context.WithCancel(c.local.Life())
		context.AfterFunc(c.life, end)
	}
	return c, nil
}

// Close implements [transport.Client].
func (c *Conn) Close() error {
	if c.life.Err() != nil {
		return nil
	}
	c.end(errConnClosed)
	c.handle.Close()
	if c.placeholder != nil {
		_ = c.placeholder.Close() // it was never connected
	}
	return nil
}

// Invoke implements [grpc.ClientConnInterface].
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.unary == nil {
		return c.invokeUnary(ctx, method, args, reply, nil, opts...)
	}
	return c.unary(ctx, method, args, reply, c.placeholder, c.invokeUnary, opts...)
}

// invokeUnary is a [grpc.UnaryInvoker].
func (c *Conn) invokeUnary(ctx context.Context, method string, args, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
	call, err := c.prepareCall(ctx, &grpc.StreamDesc{}, method, opts)
	if err != nil {
		return err
	}
	if made, err := call.invokeLocal(args, reply); made {
		return err
	}
	payload, err := call.codec.marshal(args)
	if err != nil {
		return call.abandon(err)
	}
	message := driver.Frame{Kind: driver.FrameMessage, Payload: payload}
	stream, err := call.openStream(message, driver.Frame{Kind: driver.FrameHalfClose})
	if err != nil {
		return err
	}
	stream.sendClosed = true
	return stream.RecvMsg(reply) // it returns when the context ends, so nothing else watches the context
}

// NewStream implements [grpc.ClientConnInterface].
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.stream == nil {
		return c.newClientStream(ctx, desc, nil, method, opts...)
	}
	return c.stream(ctx, desc, c.placeholder, method, c.newClientStream, opts...)
}

// newClientStream is a [grpc.Streamer].
func (c *Conn) newClientStream(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	call, err := c.prepareCall(ctx, desc, method, opts)
	if err != nil {
		return nil, err
	}
	stream, err := call.openStream()
	if err != nil {
		return nil, err // not stream: a nil pointer in an interface is not nil
	}
	stream.watchContext()
	return stream, nil
}
