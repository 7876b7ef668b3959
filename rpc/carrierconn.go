package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/rpc/driver"
)

// carrierConn makes calls over a carrier.
type carrierConn struct {
	handle  *handle.Handle
	carrier driver.Carrier
	service string
	peer    peer.Peer         // of every call
	options []grpc.CallOption // before those of a call
	dialed  time.Time
	unary   grpc.UnaryClientInterceptor
	stream  grpc.StreamClientInterceptor
	// placeholder is what interceptors get; nil if there are none.
	placeholder *grpc.ClientConn

	life context.Context // ends with Close
	end  context.CancelCauseFunc

	local     driver.Local    // nil if the servers may be elsewhere
	localLife context.Context // ends with Close, or that of the provider
}

func newCarrierConn(h *handle.Handle, carrier driver.Carrier, service string, cfg dialConfig) (*carrierConn, error) {
	c := &carrierConn{
		handle: h, carrier: carrier, service: service, options: cfg.calls, dialed: time.Now(),
		peer:  peer.Peer{Addr: addr{network: h.Provider, name: service}},
		unary: chainUnaryClient(cfg.unary), stream: chainStreamClient(cfg.stream),
	}
	if _, err := newCallOptions(cfg.calls); err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "WithDefaultCallOptions: %s", status.Convert(err).Message())
	}
	if c.unary != nil || c.stream != nil {
		var err error
		if c.placeholder, err = newPlaceholder(service); err != nil {
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

// Close implements connection.
func (c *carrierConn) Close() error {
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
func (c *carrierConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.unary == nil {
		return c.invoke(ctx, method, args, reply, nil, opts...)
	}
	return c.unary(ctx, method, args, reply, c.placeholder, c.invoke, opts...)
}

// invoke is a [grpc.UnaryInvoker].
func (c *carrierConn) invoke(ctx context.Context, method string, args, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
	call, err := c.prepare(ctx, &grpc.StreamDesc{}, method, opts)
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
	stream, err := call.open(message, driver.Frame{Kind: driver.FrameHalfClose})
	if err != nil {
		return err
	}
	stream.sentLast = true
	return stream.RecvMsg(reply) // which ends with the context: nothing else has to watch it
}

// NewStream implements [grpc.ClientConnInterface].
func (c *carrierConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.stream == nil {
		return c.newStream(ctx, desc, nil, method, opts...)
	}
	return c.stream(ctx, desc, c.placeholder, method, c.newStream, opts...)
}

// newStream is a [grpc.Streamer].
func (c *carrierConn) newStream(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	call, err := c.prepare(ctx, desc, method, opts)
	if err != nil {
		return nil, err
	}
	stream, err := call.open()
	if err != nil {
		return nil, err // not stream: a nil pointer in an interface is not nil
	}
	stream.watch()
	return stream, nil
}
