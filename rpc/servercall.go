package rpc

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
)

// attendAfter is how long a handler runs before somebody else reads for it.
// Most are shorter, and do without.
const attendAfter = time.Millisecond

// handleCall carries out one call, from its acceptance to its last frame.
func (s *carrierServer) handleCall(in driver.Incoming) {
	ctx, cancel := s.callContext(in.Call)
	defer cancel()
	codec, unknown := s.codec.of(in.Call.Metadata)
	stream := &serverStream{codec: codec, method: in.Call.Method}
	ctx = grpc.NewContextWithServerTransportStream(ctx, transportStream{stream})
	stream.session = newSession(ctx, in.Stream, false)
	attending := time.AfterFunc(attendAfter, func() { s.attend(stream, cancel) })
	defer attending.Stop()
	err := errLeft
	defer func() { stream.finish(s.outcome(err)) }() // also after a runtime.Goexit
	if err = unknown; err == nil {
		err = s.run(stream)
	}
}

// outcome returns the error of a call whose handler has ended with err.
func (s *carrierServer) outcome(err error) error {
	if err != nil && s.life.Err() != nil {
		return errServerStopped
	}
	return err
}

// newBase returns what the contexts of all handlers have in common: they end
// with the server.
func newBase(life context.Context, provider, service string) context.Context {
	return peer.NewContext(life, &peer.Peer{Addr: addr{network: provider, name: "client of " + service}})
}

// callContext returns the context of a handler. It has nothing of the
// caller's but what the call says.
func (s *carrierServer) callContext(c driver.Call) (context.Context, context.CancelFunc) {
	ctx := s.bare
	if len(c.Metadata) > 0 {
		ctx = metadata.NewIncomingContext(s.base, fromFields(c.Metadata))
	}
	if c.Timeout > 0 {
		return context.WithTimeout(ctx, c.Timeout)
	}
	return context.WithCancel(ctx)
}

// attend reads while the handler does something else, so that the end of the
// call at the client's side reaches the handler.
func (s *carrierServer) attend(stream *serverStream, cancel context.CancelFunc) {
	stream.drain()
	cancel()
	if s.life.Err() != nil {
		stream.close() // the caller does not wait for the handler
	}
}

// run calls the handler and returns the outcome of the call; a panic is one.
func (s *carrierServer) run(stream *serverStream) (err error) {
	if err := s.handle.Ready(); err != nil {
		return toRPCError(err)
	}
	m, ok := s.methods[stream.method]
	if !ok {
		return s.unimplemented(stream.method)
	}
	stream.desc = m.desc
	defer catch(stream.ctx, stream.method, &err)
	return m.handler(m.impl, stream)
}

func (s *carrierServer) unimplemented(method string) error {
	service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch {
	case !ok:
		return status.Errorf(codes.Unimplemented, "malformed method name: %q", method)
	case !s.registry.has(service):
		return status.Errorf(codes.Unimplemented, "unknown service %v", service)
	default:
		return status.Errorf(codes.Unimplemented, "unknown method %v for service %v", name, service)
	}
}
