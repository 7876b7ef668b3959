package rpc

import (
	"context"
	"io"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
)

var _ grpc.ServerStream = (*serverStream)(nil)

// serverStream is the server's end of a call.
type serverStream struct {
	*session
	codec  codec
	method string
	desc   *grpc.StreamDesc

	received bool           // a message has come
	reply    []driver.Frame // of a unary call: kept to go out with the trailers

	outgoing
}

// Context implements [grpc.ServerStream].
func (s *serverStream) Context() context.Context { return s.ctx }

// SendHeader implements [grpc.ServerStream].
func (s *serverStream) SendHeader(md metadata.MD) error {
	if err := s.SetHeader(md); err != nil {
		return err
	}
	return s.gone(s.send(s.headerFrames(true)...))
}

// SetTrailer implements [grpc.ServerStream].
func (s *serverStream) SetTrailer(md metadata.MD) {
	if err := s.addTrailer(md); err != nil {
		slog.WarnContext(s.ctx, "rpc: trailers are left out", "method", s.method, "error", err)
	}
}

// headerFrames returns the headers, marked as sent, and nothing if they were
// sent before or if there are none and they are not needed.
func (s *serverStream) headerFrames(needed bool) []driver.Frame {
	fields, due := s.takeHeader(needed)
	if !due {
		return nil
	}
	frames := make([]driver.Frame, 0, 3) // a unary call has a message and trailers besides
	return append(frames, driver.Frame{Kind: driver.FrameHeaders, Metadata: fields})
}

// SendMsg implements [grpc.ServerStream].
func (s *serverStream) SendMsg(m any) error {
	payload, err := s.codec.marshal(m)
	if err != nil {
		return err
	}
	frames := append(s.headerFrames(true), driver.Frame{Kind: driver.FrameMessage, Payload: payload})
	if s.desc.ClientStreams || s.desc.ServerStreams {
		return s.gone(s.sendMessage(frames...))
	}
	if s.reply != nil {
		return status.Error(codes.Internal, "cardinality violation: more than one response message of a unary RPC")
	}
	s.reply = frames
	return nil
}

// gone turns io.EOF, which is not for a server's program, into the reason.
func (s *serverStream) gone(err error) error {
	if err == io.EOF {
		return errClientGone
	}
	return err
}

// RecvMsg implements [grpc.ServerStream].
func (s *serverStream) RecvMsg(m any) error {
	payload, err := s.receive()
	if err != nil {
		if err == io.EOF && !s.received && !s.desc.ClientStreams {
			return status.Error(codes.Internal, "cardinality violation: no request message for non-client-streaming RPC")
		}
		return err
	}
	s.received = true
	if err := s.codec.unmarshal(payload, m); err != nil || s.desc.ClientStreams {
		return err
	}
	return s.noMore()
}

// noMore waits for the end of the client's messages, of which there was one.
func (s *serverStream) noMore() error {
	switch _, err := s.receive(); err {
	case io.EOF:
		return nil
	case nil:
		return status.Error(codes.Internal, "cardinality violation: more than one request message for non-client-streaming RPC")
	default:
		return err
	}
}

// finish sends what is left and the status, and closes the stream.
func (s *serverStream) finish(err error) {
	frames := append(s.reply, s.headerFrames(false)...)
	frames = append(frames, s.lastFrame(err))
	ctx, cancel := s.closing()
	defer cancel()
	// If the client does not get it, it finds the stream closed.
	_ = s.stream.Send(ctx, frames)
	s.close()
}

func (s *serverStream) lastFrame(err error) driver.Frame {
	return driver.Frame{Kind: driver.FrameTrailers, Metadata: s.takeTrailer(), Status: toStatus(err)}
}

// transportStream is what grpc.SetHeader and its like find in the context of
// a handler.
type transportStream struct{ stream *serverStream }

// Method implements [grpc.ServerTransportStream].
func (t transportStream) Method() string { return t.stream.method }

// SetHeader implements [grpc.ServerTransportStream].
func (t transportStream) SetHeader(md metadata.MD) error { return t.stream.SetHeader(md) }

// SendHeader implements [grpc.ServerTransportStream].
func (t transportStream) SendHeader(md metadata.MD) error { return t.stream.SendHeader(md) }

// SetTrailer implements [grpc.ServerTransportStream].
func (t transportStream) SetTrailer(md metadata.MD) error { return t.stream.addTrailer(md) }
