package rpc

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
)

// maxMethod is the longest method name, in bytes, as the driver contract says.
const maxMethod = 1024

// clientCall is a call that is about to be opened.
type clientCall struct {
	conn    *carrierConn
	desc    *grpc.StreamDesc
	options callOptions
	codec   codec
	config  driver.StreamConfig

	ctx    context.Context
	cancel context.CancelCauseFunc // nil before link
	unlink func() bool             // from the connection's life
}

// prepare checks all that can be wrong with a call before anything is sent.
// The call that it returns is opened or abandoned.
func (c *carrierConn) prepare(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (*clientCall, error) {
	if c.life.Err() != nil {
		return nil, errConnClosed
	}
	if err := c.handle.Ready(); err != nil {
		return nil, toRPCError(err)
	}
	options, err := newCallOptions(append(c.options[:len(c.options):len(c.options)], opts...))
	if err != nil {
		return nil, err
	}
	call, err := newCall(ctx, method)
	if err != nil {
		return nil, err
	}
	cc := &clientCall{
		conn: c, ctx: ctx, desc: desc, options: options,
		codec:  options.codec(c.handle.Facet.Limits.MaxFrameBytes),
		config: driver.StreamConfig{Service: c.service, Call: call},
	}
	authorization, err := options.authorize(ctx, c.service, method)
	if err != nil {
		return nil, err
	}
	cc.config.Call.Metadata = append(append(call.Metadata, authorization...), cc.codec.fields()...)
	return cc, nil
}

// link makes the call end with its connection.
func (c *clientCall) link() {
	c.ctx, c.cancel = context.WithCancelCause(c.ctx)
	c.unlink = context.AfterFunc(c.conn.life, func() { c.cancel(errConnClosed) })
}

// newCall returns what the server is told.
func newCall(ctx context.Context, method string) (driver.Call, error) {
	if ctx.Err() != nil {
		return driver.Call{}, contextError(ctx)
	}
	if !strings.HasPrefix(method, "/") || strings.LastIndexByte(method, '/') == 0 || len(method) > maxMethod {
		return driver.Call{}, status.Errorf(codes.Unimplemented,
			"malformed method name %.100q; its form is /package.Service/Method, of at most %d bytes", method, maxMethod)
	}
	call := driver.Call{Method: method}
	if deadline, ok := ctx.Deadline(); ok {
		if call.Timeout = time.Until(deadline); call.Timeout <= 0 {
			return driver.Call{}, status.FromContextError(context.DeadlineExceeded).Err()
		}
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	var err error
	call.Metadata, err = toFields(md)
	return call, err
}

// open opens the stream with its first frames.
func (c *clientCall) open(first ...driver.Frame) (*clientStream, error) {
	c.link()
	stream, err := c.openStream(first)
	if err != nil {
		if c.ctx.Err() != nil {
			err = contextError(c.ctx)
		}
		return nil, c.abandon(toRPCError(err))
	}
	s := &clientStream{session: newSession(c.ctx, stream, true), call: c}
	s.spend(first)
	return s, nil
}

func (c *clientCall) openStream(first []driver.Frame) (driver.Stream, error) {
	c.config.First = first
	if c.options.waitForReady {
		return openPatiently(c.ctx, c.conn.carrier, c.config, time.Time{})
	}
	if until := c.conn.dialed.Add(connecting); time.Now().Before(until) {
		return openPatiently(c.ctx, c.conn.carrier, c.config, until)
	}
	return c.conn.carrier.OpenStream(c.ctx, c.config)
}

// abandon gives up a call that was not opened, and returns err.
func (c *clientCall) abandon(err error) error {
	c.done((*session)(nil), err)
	return err
}

// done releases what the call holds, and reports its outcome.
func (c *clientCall) done(md receivedMetadata, err error) {
	if c.cancel != nil {
		c.unlink()
		c.cancel(nil)
	}
	c.options.finish(md, c.conn.peer, err)
}

// addr is the address of a peer: the provider that carries the call, and the
// service name.
type addr struct{ network, name string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.name }
