package remote

import (
	"context"
	"errors"
	"net"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
)

// Session is one opening of a backend in a plugin.
type Session struct {
	ID          uint64
	Token       []byte // every request that names the session presents it
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
	s := &Session{ID: resp.Session, Token: resp.Token, Control: client, Description: resp.Description}
	err = checkDescription(resp.Description)
	if err == nil {
		err = s.attach(ctx, resp, sockets)
	}
	if err != nil {
		// If this fails, the plugin itself closes the session after a while.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), sessionWait/2)
		defer cancel()
		_, _ = client.Close(bounded, &pluginpb.CloseRequest{Session: resp.Session, Token: resp.Token})
		if fairlead.CodeOf(err) == fairlead.PermissionDenied {
			return nil, err
		}
		return nil, fairlead.Errorf(fairlead.Unavailable, "%w", err)
	}
	return s, nil
}

// attach attaches the data plane.
func (s *Session) attach(ctx context.Context, resp *pluginpb.OpenResponse, sockets bool) error {
	var socket *net.UnixConn
	var err error
	if sockets && resp.Socket != "" {
		if socket, err = dialSocket(ctx, resp.Socket); err != nil {
			return err
		}
	}
	a := &pluginpb.Attach{Session: resp.Session, Token: resp.Token}
	if socket != nil {
		s.Link, err = wire.Attach(ctx, socket, a)
	} else {
		s.Link, err = wire.AttachStream(ctx, s.Control, a)
	}
	return err
}

// maxDescription is the maximum size of a description, in bytes.
const maxDescription = 1 << 20

func checkDescription(d *pluginpb.Description) error {
	if size := d.SizeVT(); size > maxDescription {
		return fairlead.Errorf(fairlead.Internal, "the plugin's description has %d bytes; at most %d are possible", size, maxDescription)
	}
	return nil
}

// dialSocket connects to a frame socket. It returns nil if the socket cannot be
// reached, for example because it is in a folder that this process does not see,
// or if the operating system does not say who listens. A socket of another user is
// an error.
func dialSocket(ctx context.Context, path string) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil
	}
	socket := conn.(*net.UnixConn)
	switch err := wire.SameUser(socket); {
	case err == nil:
		return socket, nil
	case errors.Is(err, errors.ErrUnsupported):
		socket.Close()
		return nil, nil
	default:
		socket.Close()
		return nil, fairlead.Errorf(fairlead.PermissionDenied, "the frame socket %s is refused: %w", path, err)
	}
}

// close closes the session in the plugin. It returns nil if the plugin is gone.
func (s *Session) close(ctx context.Context) error {
	_, err := s.Control.Close(ctx, &pluginpb.CloseRequest{Session: s.ID, Token: s.Token})
	if status.Code(err) == codes.Unavailable && ctx.Err() == nil {
		return nil
	}
	if err != nil {
		return fromStatus(ctx, err)
	}
	return nil
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
	return p.replyOrError(ctx, c, r, err, write)
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

// replyOrError returns what the caller of c gets for the result of callLink.
func (p *provider) replyOrError(ctx context.Context, c *pluginpb.Call, r *pluginpb.Reply, err error, write bool) (*pluginpb.Reply, error) {
	switch {
	case err != nil:
		err = lostError(ctx, err, write)
	case r.Error != nil:
		err = convert.ToError(r.Error)
	case !answers(r, c):
		return nil, fairlead.Errorf(fairlead.Internal, "the plugin's reply does not have what the call asks for: it has %s", nameOfReply(r))
	default:
		return r, nil
	}
	return nil, p.callerError(ctx, err)
}

// callerError returns the error that a caller gets for an error of the plugin, of
// a call or of one of its operations. For what was canceled it is the error of the
// caller's context: the plugin knows only that it was told to stop.
func (p *provider) callerError(ctx context.Context, err error) error {
	switch fairlead.CodeOf(err) {
	case fairlead.Canceled, fairlead.DeadlineExceeded:
		if end := fairlead.ContextError(ctx); end != nil {
			return end
		}
	case fairlead.Unavailable:
		if p.life.Err() != nil {
			return errClosed()
		}
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
