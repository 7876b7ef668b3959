package carrier

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

// maxMethod is the length of the longest method name, in bytes. The driver
// contract fixes it.
const maxMethod = 1024

// clientCall is a call that has no stream yet.
type clientCall struct {
	conn    *Conn
	desc    *grpc.StreamDesc
	options callOptions
	codec   codec
	config  driver.StreamConfig

	ctx    context.Context
	cancel context.CancelCauseFunc // nil before endWithConn
	unlink func() bool             // undoes endWithConn; nil before it
}

// prepareCall makes all checks of a call before anything is sent. The caller
// opens or abandons the call that it returns.
func (c *Conn) prepareCall(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (*clientCall, error) {
	if c.life.Err() != nil {
		return nil, errConnClosed
	}
	if err := c.handle.Requirements.Check(); err != nil {
		return nil, transport.StatusError(err)
	}
	options, err := newCallOptions(append(c.options[:len(c.options):len(c.options)], opts...))
	if err != nil {
		return nil, err
	}
	call, err := newDriverCall(ctx, method)
	if err != nil {
		return nil, err
	}
	cc := &clientCall{
		conn: c, ctx: ctx, desc: desc, options: options,
		codec:  options.newCodec(c.handle.Facet.Limits.MaxFrameBytes),
		config: driver.StreamConfig{Service: c.service, Call: call},
	}
	credentials, err := options.credentialFields(ctx, c.service, method)
	if err != nil {
		return nil, err
	}
	cc.config.Call.Metadata = append(append(call.Metadata, credentials...), cc.codec.metadataFields()...)
	return cc, nil
}

// newDriverCall returns the description of a call that its server gets.
func newDriverCall(ctx context.Context, method string) (driver.Call, error) {
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
	call.Metadata, err = fieldsFromMetadata(md)
	return call, err
}

// endWithConn makes the context of the call end when its connection is closed.
func (c *clientCall) endWithConn() {
	c.ctx, c.cancel = context.WithCancelCause(c.ctx)
	c.unlink = context.AfterFunc(c.conn.life, func() { c.cancel(errConnClosed) })
}

// openStream opens the stream of the call and sends its initial frames.
func (c *clientCall) openStream(initial ...driver.Frame) (*clientStream, error) {
	c.endWithConn()
	stream, err := c.openDriverStream(initial)
	if err != nil {
		if c.ctx.Err() != nil {
			err = contextError(c.ctx)
		}
		return nil, c.abandon(transport.StatusError(err))
	}
	s := &clientStream{callStream: newCallStream(c.ctx, stream, true), call: c}
	s.spendCredit(initial)
	return s, nil
}

func (c *clientCall) openDriverStream(initial []driver.Frame) (driver.Stream, error) {
	c.config.InitialFrames = initial
	if c.options.waitForReady {
		return openRetryStream(c.ctx, c.conn.carrier, c.config, time.Time{})
	}
	if until := c.conn.dialed.Add(transport.ConnectGrace); time.Now().Before(until) {
		return openRetryStream(c.ctx, c.conn.carrier, c.config, until)
	}
	return c.conn.carrier.OpenStream(c.ctx, c.config)
}

// abandon ends a call that has no stream, and returns err.
func (c *clientCall) abandon(err error) error {
	c.finish((*callStream)(nil), err)
	return err
}

// finish releases the call's resources, and reports its outcome.
func (c *clientCall) finish(md receivedMetadata, err error) {
	if c.cancel != nil {
		c.unlink()
		c.cancel(nil)
	}
	c.options.reportOutcome(md, c.conn.peer, err)
}

// peerAddr is the address of a peer: the name of the provider that carries the
// call, and the service name.
type peerAddr struct{ network, name string }

func (a peerAddr) Network() string { return a.network }
func (a peerAddr) String() string  { return a.name }
