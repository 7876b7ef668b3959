package carrier

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
	*callStream
	codec  codec
	method string
	desc   *grpc.StreamDesc

	received bool           // a message was received
	reply    []driver.Frame // of a unary call; sent together with the trailers

	responseMetadata
}

// Context implements [grpc.ServerStream].
func (s *serverStream) Context() context.Context { return s.ctx }

// SendHeader implements [grpc.ServerStream].
func (s *serverStream) SendHeader(md metadata.MD) error {
	if err := s.SetHeader(md); err != nil {
		return err
	}
	return replaceEOF(s.sendFrames(s.headerFrames(true)...))
}

// SetTrailer implements [grpc.ServerStream].
func (s *serverStream) SetTrailer(md metadata.MD) {
	if err := s.addTrailer(md); err != nil {
		slog.WarnContext(s.ctx, "rpc: trailers of a handler are not valid and were dropped", "method", s.method, "error", err)
	}
}

// headerFrames returns the headers, and marks them as sent. It returns no frames
// if they were sent before, or if there are none and evenIfEmpty is false.
func (s *serverStream) headerFrames(evenIfEmpty bool) []driver.Frame {
	fields, due := s.takeHeader(evenIfEmpty)
	if !due {
		return nil
	}
	frames := make([]driver.Frame, 0, 3) // a unary call also has a message and trailers
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
		return replaceEOF(s.sendMessage(frames...))
	}
	if s.reply != nil {
		return status.Error(codes.Internal, "cardinality violation: more than one response message of a unary RPC")
	}
	s.reply = frames
	return nil
}

// replaceEOF returns errClientGone for io.EOF, which a handler must not get from
// Send.
func replaceEOF(err error) error {
	if err == io.EOF {
		return errClientGone
	}
	return err
}

// RecvMsg implements [grpc.ServerStream].
func (s *serverStream) RecvMsg(m any) error {
	payload, err := s.receiveMessage()
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
	return s.awaitHalfClose()
}

// awaitHalfClose waits until the client has closed its direction, and fails if
// another message comes.
func (s *serverStream) awaitHalfClose() error {
	switch _, err := s.receiveMessage(); err {
	case io.EOF:
		return nil
	case nil:
		return status.Error(codes.Internal, "cardinality violation: more than one request message for non-client-streaming RPC")
	default:
		return err
	}
}

// finish sends the reply of a unary call and the trailers, and closes the stream.
func (s *serverStream) finish(err error) {
	frames := append(s.reply, s.headerFrames(false)...)
	frames = append(frames, s.trailersFrame(err))
	ctx, cancel := s.closingContext()
	defer cancel()
	// If this fails, the client finds the stream closed.
	_ = s.stream.Send(ctx, frames)
	s.closeStream()
}

func (s *serverStream) trailersFrame(err error) driver.Frame {
	return driver.Frame{Kind: driver.FrameTrailers, Metadata: s.trailerFields(), Status: statusFromError(err)}
}

// transportStream is the stream that grpc.SetHeader and similar functions find in
// the context of a handler.
type transportStream struct{ stream *serverStream }

// Method implements [grpc.ServerTransportStream].
func (t transportStream) Method() string { return t.stream.method }

// SetHeader implements [grpc.ServerTransportStream].
func (t transportStream) SetHeader(md metadata.MD) error { return t.stream.SetHeader(md) }

// SendHeader implements [grpc.ServerTransportStream].
func (t transportStream) SendHeader(md metadata.MD) error { return t.stream.SendHeader(md) }

// SetTrailer implements [grpc.ServerTransportStream].
func (t transportStream) SetTrailer(md metadata.MD) error { return t.stream.addTrailer(md) }
