package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// closeTimeout bounds the closing of a stream whose own context has ended.
const closeTimeout = time.Second

// session is one end of a call. It reads the frames of the other end and
// keeps the accounts of credits. Whoever waits for something reads for
// everybody: there is no goroutine of its own.
type session struct {
	ctx    context.Context // of the call; its end ends the session
	stream driver.Stream
	client bool // this is the client's end

	mu      sync.Mutex
	reading bool         // somebody is in stream.Recv
	changed await.Signal // of anything below
	err     error        // why nothing more comes, a status error

	credit   int      // what this end may still send
	messages [][]byte // received and not taken
	taken    int      // cost of messages taken and not given back
	held     int      // cost of messages received and not given back

	headers    []driver.Field
	hasHeaders bool
	halfClosed bool          // the client sends no more messages
	trailers   *driver.Frame // the server's last frame
}

func newSession(ctx context.Context, stream driver.Stream, client bool) *session {
	return &session{ctx: ctx, stream: stream, client: client, credit: driver.Window}
}

// sendMessage sends frames, a message among them, when there is credit for
// it. It returns io.EOF when nobody reads any more.
func (s *session) sendMessage(frames ...driver.Frame) error {
	s.mu.Lock()
	err := s.await(func() bool { return s.credit > 0 || s.trailers != nil })
	if s.trailers != nil {
		err = io.EOF
	}
	if err == nil {
		s.spend(frames)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.send(frames...)
}

// spend takes the cost of frames from the account.
func (s *session) spend(frames []driver.Frame) {
	for _, f := range frames {
		s.credit -= f.Cost()
	}
}

// send sends frames. A failure ends the session, but for io.EOF, which says
// that the other end has closed: what it sent before is still to be read.
func (s *session) send(frames ...driver.Frame) error {
	err := s.stream.Send(s.ctx, frames)
	if err == nil {
		return nil
	}
	if s.ctx.Err() == nil && errors.Is(err, fairlead.Closed) {
		return io.EOF
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = s.reason(err)
	}
	return s.err
}

// receive returns the next message, or io.EOF after the last one.
func (s *session) receive() ([]byte, error) {
	s.mu.Lock()
	err := s.await(func() bool { return len(s.messages) > 0 || s.complete() })
	if err == nil && len(s.messages) == 0 {
		err = io.EOF
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	payload, back := s.take()
	s.mu.Unlock()
	if back > 0 {
		// If this fails, so does the next Recv, and says why.
		_ = s.send(driver.Frame{Kind: driver.FrameCredit, Credit: back})
	}
	return payload, nil
}

// take removes the oldest message, and returns it with the credits that are
// to be given back now. The lock is held.
func (s *session) take() (payload []byte, back int) {
	payload = s.messages[0]
	s.messages[0] = nil
	s.messages = s.messages[1:]
	s.taken += driver.Frame{Kind: driver.FrameMessage, Payload: payload}.Cost()
	if s.taken < driver.Window/2 || s.complete() {
		return payload, 0
	}
	back, s.taken = s.taken, 0
	s.held -= back
	return payload, back
}

// awaitHeader blocks until the server's headers have come, or nothing else
// can that would precede them.
func (s *session) awaitHeader() (came bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.await(func() bool { return s.hasHeaders || len(s.messages) > 0 || s.complete() })
	return s.hasHeaders, err
}

// header returns the server's headers if they have come. The session may be
// nil.
func (s *session) header() metadata.MD {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fromFields(s.headers)
}

// trailer returns the server's trailers if they have come. The session may be
// nil.
func (s *session) trailer() metadata.MD {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trailers == nil {
		return nil
	}
	return fromFields(s.trailers.Metadata)
}

// outcome returns the status of the call as an error, nil for success. It is
// called after receive has returned io.EOF.
func (s *session) outcome() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fromStatus(s.trailers.Status)
}

// drain reads until nothing more comes.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.await(func() bool { return false })
}

// await blocks until ready, which it calls with the lock held, or until
// nothing more comes. It is called, and returns, with the lock held.
func (s *session) await(ready func() bool) error {
	for !ready() {
		if s.err != nil {
			return s.err
		}
		if s.reading {
			s.wait()
		} else {
			s.read()
		}
	}
	return nil
}

// wait blocks until the reader has noted something.
func (s *session) wait() {
	changed := s.changed.Next()
	s.mu.Unlock()
	select {
	case <-changed:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	if s.ctx.Err() != nil && s.err == nil {
		s.err = contextError(s.ctx)
	}
}

// read takes one turn as the reader.
func (s *session) read() {
	s.reading = true
	s.mu.Unlock()
	frames, err := s.stream.Recv(s.ctx)
	s.mu.Lock()
	s.reading = false
	for _, f := range frames {
		if err == nil {
			err = s.note(f)
		}
	}
	if err != nil && s.err == nil {
		s.err = s.reason(err)
	}
	s.changed.Fire()
}

// note records a frame. It returns an error if the other end breaks the
// contract.
func (s *session) note(f driver.Frame) error {
	switch {
	case f.Kind == driver.FrameCredit && f.Credit > 0 && f.Credit <= driver.Window-s.credit:
		s.credit += f.Credit
	case s.complete():
		return violation(f, "after the last one")
	case f.Kind == driver.FrameHeaders && s.client && !s.hasHeaders:
		s.headers, s.hasHeaders = f.Metadata, true
	case f.Kind == driver.FrameMessage && s.held < driver.Window:
		s.held += f.Cost()
		s.messages = append(s.messages, f.Payload)
	case f.Kind == driver.FrameHalfClose && !s.client:
		s.halfClosed = true
	case f.Kind == driver.FrameTrailers && s.client:
		last := f // the others need no place of their own
		s.trailers = &last
	default:
		return violation(f, "out of turn, beyond its credits, or of an unknown kind")
	}
	return nil
}

func violation(f driver.Frame, what string) error {
	return status.Errorf(codes.Internal, "the other end of the call sent a frame of kind %d %s", f.Kind, what)
}

// complete reports whether the other end sends no more messages.
func (s *session) complete() bool { return s.halfClosed || s.trailers != nil }

// reason returns an error of the stream as a status error. A stream that
// failed because the call is over failed for the reason of that.
func (s *session) reason(err error) error {
	switch {
	case s.ctx.Err() != nil:
		return contextError(s.ctx)
	case !s.client && errors.Is(err, fairlead.Closed):
		return errClientGone
	}
	return toRPCError(err)
}

// close ends the stream at both ends.
func (s *session) close() {
	ctx, cancel := s.closing()
	defer cancel()
	_ = s.stream.Close(ctx) // there is nobody to tell
}

// closing returns a context for the last words of a call: its own, or one
// that outlives it by a little.
func (s *session) closing() (context.Context, context.CancelFunc) {
	if s.ctx.Err() == nil {
		return s.ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(s.ctx), closeTimeout)
}
