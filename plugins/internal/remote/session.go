package remote

import (
	"context"
	"net"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
)

// Session is one opening of a backend in a plugin.
type Session struct {
	ID          uint64
	Control     pluginpb.PluginServiceClient
	Link        *wire.Link
	Description *pluginpb.Description
}

// DialOptions are the options that every control connection needs.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(wire.MaxFrame), grpc.MaxCallSendMsgSize(wire.MaxFrame)),
		grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(4 << 20),
	}
}

// Dial opens a backend through a control connection and attaches the data plane.
// The data plane is the frame socket that the plugin offers, if sockets is true
// and the socket can be reached, and otherwise a gRPC stream.
func Dial(ctx context.Context, control grpc.ClientConnInterface, req *pluginpb.OpenRequest, sockets bool) (*Session, error) {
	client := pluginpb.NewPluginServiceClient(control)
	resp, err := client.Open(ctx, req)
	if err != nil {
		return nil, fromStatus(ctx, err)
	}
	s := &Session{ID: resp.Session, Control: client, Description: resp.Description}
	a := &pluginpb.Attach{Session: resp.Session, Token: resp.Token}
	var socket *net.UnixConn
	if sockets && resp.Socket != "" {
		socket = dialSocket(ctx, resp.Socket)
	}
	if socket != nil {
		s.Link, err = wire.Attach(ctx, socket, a)
	} else {
		s.Link, err = wire.AttachStream(ctx, client, a)
	}
	if err != nil {
		// If this fails, the plugin itself closes the session after a while.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), sessionWait/2)
		defer cancel()
		_, _ = client.Close(bounded, &pluginpb.CloseRequest{Session: resp.Session})
		return nil, fairlead.Errorf(fairlead.Unavailable, "%w", err)
	}
	return s, nil
}

// dialSocket returns nil if the socket cannot be reached: a sidecar may run as
// another user, or its socket may be in a folder that this process does not see.
func dialSocket(ctx context.Context, path string) *net.UnixConn {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil
	}
	socket := conn.(*net.UnixConn)
	if wire.SameUser(socket) != nil {
		socket.Close()
		return nil
	}
	return socket
}

// fromStatus returns the error for a failed call of the control plane.
func fromStatus(ctx context.Context, err error) error {
	for _, d := range status.Convert(err).Details() {
		if e, ok := d.(*pluginpb.Error); ok {
			return convert.ToError(e)
		}
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	return fairlead.Errorf(fairlead.Unavailable, "the plugin cannot be reached: %w", err)
}

// callInSession makes a call in a session. A write that was sent and whose reply
// is missing fails with UnknownOutcome.
func (p *provider) callInSession(ctx context.Context, s *Session, c *pluginpb.Call, write bool, late func(*pluginpb.Reply)) (*pluginpb.Reply, error) {
	r, err := callLink(ctx, s, c, late)
	return p.replyOrError(ctx, r, err, write)
}

// callLink makes a call with the caller's trace context. It returns the link's own
// error.
func callLink(ctx context.Context, s *Session, c *pluginpb.Call, late func(*pluginpb.Reply)) (*pluginpb.Reply, error) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		c.Traceparent, c.Tracestate = carrier["traceparent"], carrier["tracestate"]
	}
	return s.Link.Call(ctx, c, late)
}

// isReplyMissing reports whether a call was sent and its reply did not come.
func isReplyMissing(err error) bool {
	l, ok := err.(*wire.Lost)
	return ok && l.Sent
}

// replyOrError returns what the caller gets for the result of callLink.
func (p *provider) replyOrError(ctx context.Context, r *pluginpb.Reply, err error, write bool) (*pluginpb.Reply, error) {
	switch {
	case err != nil:
		err = lostError(ctx, err, write)
	case r.Error != nil:
		err = callerError(ctx, convert.ToError(r.Error))
	default:
		return r, nil
	}
	if p.life.Err() != nil && fairlead.CodeOf(err) == fairlead.Unavailable {
		return nil, errClosed()
	}
	return nil, err
}

// callerError returns the error of the caller's context for a call that was
// canceled: the plugin knows only that it was.
func callerError(ctx context.Context, err error) error {
	code := fairlead.CodeOf(err)
	if end := fairlead.ContextError(ctx); end != nil && (code == fairlead.Canceled || code == fairlead.DeadlineExceeded) {
		return end
	}
	return err
}

// lostError returns the caller's error for an error of the link.
func lostError(ctx context.Context, err error, write bool) error {
	l, ok := err.(*wire.Lost)
	switch {
	case !ok: // TooLarge, or the stream is closed
		return err
	case l.Sent && write:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the plugin did not reply to the write: %w", l.Cause)
	case ctx.Err() != nil:
		return fairlead.ContextError(ctx)
	default:
		return fairlead.Errorf(fairlead.Unavailable, "%w", l.Cause)
	}
}
