package carrier

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev/rpc/driver"
)

var _ grpc.ClientStream = (*clientStream)(nil)

// clientStream is the client's end of a call.
type clientStream struct {
	*callStream
	call       *clientCall
	sendClosed bool        // the half-close was sent, or is sent with the only message
	received   bool        // a message was received
	unwatch    func() bool // undoes watchContext; nil before it; guarded by callStream.mu
	finished   sync.Once
}

// Context implements [grpc.ClientStream].
func (s *clientStream) Context() context.Context { return s.ctx }

// Header implements [grpc.ClientStream].
func (s *clientStream) Header() (metadata.MD, error) {
	received, err := s.awaitHeader()
	if err != nil {
		s.finish(err)
	}
	if !received {
		return nil, nil // RecvMsg returns the reason, as in gRPC
	}
	return s.header(), nil
}

// Trailer implements [grpc.ClientStream].
func (s *clientStream) Trailer() metadata.MD { return s.trailer() }

// SendMsg implements [grpc.ClientStream].
func (s *clientStream) SendMsg(m any) error {
	err := s.sendRequest(m)
	if err != nil && err != io.EOF {
		s.finish(err)
	}
	return err
}

func (s *clientStream) sendRequest(m any) error {
	if s.sendClosed {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	payload, err := s.call.codec.marshal(m)
	if err != nil {
		return err
	}
	message := driver.Frame{Kind: driver.FrameMessage, Payload: payload}
	if s.call.desc.ClientStreams {
		if s.sendMessage(message) != nil {
			return io.EOF // RecvMsg returns the reason
		}
		return nil
	}
	s.sendClosed = true
	_ = s.sendMessage(message, driver.Frame{Kind: driver.FrameHalfClose}) // RecvMsg returns the error
	return nil
}

// CloseSend implements [grpc.ClientStream].
func (s *clientStream) CloseSend() error {
	if !s.sendClosed {
		s.sendClosed = true
		_ = s.sendFrames(driver.Frame{Kind: driver.FrameHalfClose}) // RecvMsg returns the error
	}
	return nil
}

// RecvMsg implements [grpc.ClientStream].
func (s *clientStream) RecvMsg(m any) error {
	err := s.receiveReply(m)
	switch {
	case err == io.EOF:
		s.finish(nil)
	case err != nil || !s.call.desc.ServerStreams:
		s.finish(err)
	}
	return err
}

func (s *clientStream) receiveReply(m any) error {
	if err := s.receiveNext(m); err != nil || s.call.desc.ServerStreams {
		return err
	}
	// This was the only message; the status must follow.
	_, err := s.receiveMessage()
	switch {
	case err == nil:
		return status.Error(codes.Internal, "cardinality violation: more than one response message from non-server-streaming RPC")
	case err == io.EOF:
		return s.statusError()
	}
	return err
}

// receiveNext decodes the next message into m. After the last message it returns
// the status of the call, io.EOF for success.
func (s *clientStream) receiveNext(m any) error {
	payload, err := s.receiveMessage()
	if err == nil {
		s.received = true
		return s.call.codec.unmarshal(payload, m)
	}
	if err != io.EOF {
		return err
	}
	if err := s.statusError(); err != nil {
		return err
	}
	if !s.received && !s.call.desc.ServerStreams {
		return errNoReply
	}
	return io.EOF
}

// watchContext ends the call when its context ends, also if the program does not
// use the stream any more.
func (s *clientStream) watchContext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwatch = context.AfterFunc(s.ctx, func() { s.finish(contextError(s.ctx)) })
}

// finish ends the call, once. The error is nil after a success, and otherwise the
// error that the program got.
func (s *clientStream) finish(err error) {
	s.finished.Do(func() {
		s.mu.Lock()
		unwatch := s.unwatch
		s.mu.Unlock()
		if unwatch != nil {
			unwatch()
		}
		s.closeStream()
		s.call.finish(s.callStream, err)
	})
}
