package carrier

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

// watchDelay is how long a handler runs before another goroutine reads for it.
// Most handlers are faster and need no such goroutine.
const watchDelay = time.Millisecond

// serveCall handles one call, from its acceptance to its last frame.
func (s *Server) serveCall(in driver.Incoming) {
	ctx, cancel := s.newCallContext(in.Call)
	defer cancel()
	codec, codecErr := s.codec.forCall(in.Call.Metadata)
	stream := &serverStream{codec: codec, method: in.Call.Method}
	ctx = grpc.NewContextWithServerTransportStream(ctx, transportStream{stream})
	stream.callStream = newCallStream(ctx, in.Stream, false)
	watching := time.AfterFunc(watchDelay, func() { s.watchClient(stream, cancel) })
	defer watching.Stop()
	err := errHandlerExited
	defer func() { stream.finish(s.callError(err)) }() // also after a runtime.Goexit
	if codecErr != nil {
		err = codecErr
		return
	}
	err = s.runHandler(stream)
}

// callError returns the error of a call whose handler has returned err.
func (s *Server) callError(err error) error {
	if err != nil && s.life.Err() != nil {
		return errServerStopped
	}
	return err
}

// newHandlerContext returns the parent of the contexts of all handlers. It ends
// with the server.
func newHandlerContext(life context.Context, provider, service string) context.Context {
	return peer.NewContext(life, &peer.Peer{Addr: peerAddr{network: provider, name: "client of " + service}})
}

// newCallContext returns the context of a handler. It has the metadata and the
// deadline of the call, and no other values of the caller's context.
func (s *Server) newCallContext(c driver.Call) (context.Context, context.CancelFunc) {
	ctx := s.noMetadataCtx
	if len(c.Metadata) > 0 {
		ctx = metadata.NewIncomingContext(s.handlerCtx, metadataFromFields(c.Metadata))
	}
	if c.Timeout > 0 {
		return context.WithTimeout(ctx, c.Timeout)
	}
	return context.WithCancel(ctx)
}

// watchClient reads while the handler does not, so that the handler's context is
// cancelled when the client ends the call.
func (s *Server) watchClient(stream *serverStream, cancel context.CancelFunc) {
	stream.readToEnd()
	cancel()
	if s.life.Err() != nil {
		stream.closeStream() // the caller does not wait for the handler
	}
}

// runHandler calls the handler and returns the error of the call. A panic becomes
// an error.
func (s *Server) runHandler(stream *serverStream) (err error) {
	if err := s.Handle.Requirements.Check(); err != nil {
		return transport.StatusError(err)
	}
	m, ok := s.methods[stream.method]
	if !ok {
		return s.unimplementedError(stream.method)
	}
	stream.desc = m.desc
	defer transport.RecoverPanic(stream.ctx, stream.method, &err)
	return m.handler(m.impl, stream)
}

func (s *Server) unimplementedError(method string) error {
	service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch {
	case !ok:
		return status.Errorf(codes.Unimplemented, "malformed method name: %q", method)
	case !s.Services.Has(service):
		return status.Errorf(codes.Unimplemented, "unknown service %v", service)
	default:
		return status.Errorf(codes.Unimplemented, "unknown method %v for service %v", name, service)
	}
}
