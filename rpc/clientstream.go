package rpc

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
	*session
	call     *clientCall
	sentLast bool        // CloseSend, or the only message
	received bool        // a message has come
	unwatch  func() bool // nil before watch; guarded by the session's lock
	finished sync.Once
}

// Context implements [grpc.ClientStream].
func (s *clientStream) Context() context.Context { return s.ctx }

// Header implements [grpc.ClientStream].
func (s *clientStream) Header() (metadata.MD, error) {
	came, err := s.awaitHeader()
	if err != nil {
		s.finish(err)
	}
	if !came {
		return nil, nil // RecvMsg says why, as in gRPC
	}
	return s.header(), nil
}

// Trailer implements [grpc.ClientStream].
func (s *clientStream) Trailer() metadata.MD { return s.trailer() }

// SendMsg implements [grpc.ClientStream].
func (s *clientStream) SendMsg(m any) error {
	err := s.sendMsg(m)
	if err != nil && err != io.EOF {
		s.finish(err)
	}
	return err
}

func (s *clientStream) sendMsg(m any) error {
	if s.sentLast {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	payload, err := s.call.codec.marshal(m)
	if err != nil {
		return err
	}
	message := driver.Frame{Kind: driver.FrameMessage, Payload: payload}
	if s.call.desc.ClientStreams {
		if s.sendMessage(message) != nil {
			return io.EOF // RecvMsg says why
		}
		return nil
	}
	s.sentLast = true
	_ = s.sendMessage(message, driver.Frame{Kind: driver.FrameHalfClose}) // RecvMsg says why
	return nil
}

// CloseSend implements [grpc.ClientStream].
func (s *clientStream) CloseSend() error {
	if !s.sentLast {
		s.sentLast = true
		_ = s.send(driver.Frame{Kind: driver.FrameHalfClose}) // RecvMsg says why
	}
	return nil
}

// RecvMsg implements [grpc.ClientStream].
func (s *clientStream) RecvMsg(m any) error {
	err := s.recvMsg(m)
	switch {
	case err == io.EOF:
		s.finish(nil)
	case err != nil || !s.call.desc.ServerStreams:
		s.finish(err)
	}
	return err
}

func (s *clientStream) recvMsg(m any) error {
	if err := s.next(m); err != nil || s.call.desc.ServerStreams {
		return err
	}
	// The only message has come; the status must follow.
	_, err := s.receive()
	switch {
	case err == nil:
		return status.Error(codes.Internal, "cardinality violation: more than one response message from non-server-streaming RPC")
	case err == io.EOF:
		return s.outcome()
	}
	return err
}

// next decodes the next message into m. After the last one it returns the
// status of the call, io.EOF for success.
func (s *clientStream) next(m any) error {
	payload, err := s.receive()
	if err == nil {
		s.received = true
		return s.call.codec.unmarshal(payload, m)
	}
	if err != io.EOF {
		return err
	}
	if err := s.outcome(); err != nil {
		return err
	}
	if !s.received && !s.call.desc.ServerStreams {
		return errNoReply
	}
	return io.EOF
}

// watch makes the end of the context end the call, also when the program does
// nothing more with it.
func (s *clientStream) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwatch = context.AfterFunc(s.ctx, func() { s.finish(contextError(s.ctx)) })
}

// finish ends the call, once: with nil after its success, and otherwise with
// the error that the program got.
func (s *clientStream) finish(err error) {
	s.finished.Do(func() {
		s.mu.Lock()
		unwatch := s.unwatch
		s.mu.Unlock()
		if unwatch != nil {
			unwatch()
		}
		s.close()
		s.call.done(s.session, err)
	})
}
