package carrier

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

// callStream is one end of a call. It reads the frames of the other end and
// accounts for the credits. It has no goroutine: one of the goroutines that wait
// for something reads for all of them.
type callStream struct {
	ctx    context.Context // of the call; its end ends the stream
	stream driver.Stream
	client bool // this is the client's end

	mu      sync.Mutex
	reading bool         // a goroutine is in stream.Recv
	changed await.Signal // fires when a field below has changed
	err     error        // why no more frames come, a status error

	credit   int      // that this end may still spend
	messages [][]byte // received, and not taken by the program
	taken    int      // cost of the messages taken since the last credit frame
	held     int      // cost of the messages received and not given back

	headers      []driver.Field
	hasHeaders   bool
	clientClosed bool          // the client's half-close was received
	trailers     *driver.Frame // the server's last frame; nil before it
}

func newCallStream(ctx context.Context, stream driver.Stream, client bool) *callStream {
	return &callStream{ctx: ctx, stream: stream, client: client, credit: driver.Window}
}

// sendMessage waits for credit and then sends frames, one of them a message. It
// returns io.EOF if the other end reads no more.
func (s *callStream) sendMessage(frames ...driver.Frame) error {
	s.mu.Lock()
	err := s.waitUntil(func() bool { return s.credit > 0 || s.trailers != nil })
	if s.trailers != nil {
		err = io.EOF
	}
	if err == nil {
		s.spendCredit(frames)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.sendFrames(frames...)
}

// spendCredit takes the cost of frames from the credit.
func (s *callStream) spendCredit(frames []driver.Frame) {
	for _, f := range frames {
		s.credit -= f.Cost()
	}
}

// sendFrames sends frames. It returns io.EOF if the other end has closed; frames
// that the other end sent before can still be read. Any other failure ends the
// stream.
func (s *callStream) sendFrames(frames ...driver.Frame) error {
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
		s.err = s.streamError(err)
	}
	return s.err
}

// receiveMessage returns the next message, or io.EOF after the last one.
func (s *callStream) receiveMessage() ([]byte, error) {
	s.mu.Lock()
	err := s.waitUntil(func() bool { return len(s.messages) > 0 || s.isComplete() })
	if err == nil && len(s.messages) == 0 {
		err = io.EOF
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	payload, credit := s.takeMessage()
	s.mu.Unlock()
	if credit > 0 {
		// If this fails, the next Recv fails too and returns the reason.
		_ = s.sendFrames(driver.Frame{Kind: driver.FrameCredit, Credit: credit})
	}
	return payload, nil
}

// takeMessage removes the oldest message. It also returns the credit to give back
// now. The caller holds the lock.
func (s *callStream) takeMessage() (payload []byte, credit int) {
	payload = s.messages[0]
	s.messages[0] = nil
	s.messages = s.messages[1:]
	s.taken += driver.Frame{Kind: driver.FrameMessage, Payload: payload}.Cost()
	if s.taken < driver.Window/2 || s.isComplete() {
		return payload, 0
	}
	credit, s.taken = s.taken, 0
	s.held -= credit
	return payload, credit
}

// awaitHeader blocks until the server's headers were received, or a frame that
// comes after them.
func (s *callStream) awaitHeader() (received bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.waitUntil(func() bool { return s.hasHeaders || len(s.messages) > 0 || s.isComplete() })
	return s.hasHeaders, err
}

// header returns the server's headers if they were received. s may be nil.
func (s *callStream) header() metadata.MD {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return metadataFromFields(s.headers)
}

// trailer returns the server's trailers if they were received. s may be nil.
func (s *callStream) trailer() metadata.MD {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trailers == nil {
		return nil
	}
	return metadataFromFields(s.trailers.Metadata)
}

// statusError returns the status of the call as an error, nil for success. It is
// valid after receiveMessage has returned io.EOF.
func (s *callStream) statusError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errorFromStatus(s.trailers.Status)
}

// readToEnd reads until no more frames come.
func (s *callStream) readToEnd() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.waitUntil(func() bool { return false })
}

// waitUntil blocks until ready returns true, or until no more frames come. The
// caller holds the lock; ready runs with it.
func (s *callStream) waitUntil(ready func() bool) error {
	for !ready() {
		if s.err != nil {
			return s.err
		}
		if s.reading {
			s.waitForReader()
		} else {
			s.readFrames()
		}
	}
	return nil
}

// waitForReader blocks until the goroutine that reads has recorded something.
func (s *callStream) waitForReader() {
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

// readFrames reads once, for all goroutines that wait.
func (s *callStream) readFrames() {
	s.reading = true
	s.mu.Unlock()
	frames, err := s.stream.Recv(s.ctx)
	s.mu.Lock()
	s.reading = false
	for _, f := range frames {
		if err == nil {
			err = s.recordFrame(f)
		}
	}
	if err != nil && s.err == nil {
		s.err = s.streamError(err)
	}
	s.changed.Fire()
}

// recordFrame returns an error if the other end breaks the driver contract.
func (s *callStream) recordFrame(f driver.Frame) error {
	switch {
	case f.Kind == driver.FrameCredit && f.Credit > 0 && f.Credit <= driver.Window-s.credit:
		s.credit += f.Credit
	case s.isComplete():
		return violationError(f, "after the last one")
	case f.Kind == driver.FrameHeaders && s.client && !s.hasHeaders:
		s.headers, s.hasHeaders = f.Metadata, true
	case f.Kind == driver.FrameMessage && s.held < driver.Window:
		s.held += f.Cost()
		s.messages = append(s.messages, f.Payload)
	case f.Kind == driver.FrameHalfClose && !s.client:
		s.clientClosed = true
	case f.Kind == driver.FrameTrailers && s.client:
		last := f // a copy, so that only this frame is allocated
		s.trailers = &last
	default:
		return violationError(f, "out of turn, beyond its credits, or of an unknown kind")
	}
	return nil
}

func violationError(f driver.Frame, what string) error {
	return status.Errorf(codes.Internal, "the other end of the call sent a frame of kind %d %s", f.Kind, what)
}

// isComplete reports whether the other end sends no more messages.
func (s *callStream) isComplete() bool { return s.clientClosed || s.trailers != nil }

// streamError returns an error of the driver's stream as a status error. If the
// context of the call has ended, it returns the reason for that.
func (s *callStream) streamError(err error) error {
	switch {
	case s.ctx.Err() != nil:
		return contextError(s.ctx)
	case !s.client && errors.Is(err, fairlead.Closed):
		return errClientGone
	}
	return transport.StatusError(err)
}

// closeStream closes the stream at both ends.
func (s *callStream) closeStream() {
	ctx, cancel := s.closingContext()
	defer cancel()
	_ = s.stream.Close(ctx) // the call has its outcome already
}

// closingContext returns a context for the last frames of a call: the context of
// the call, or one that outlives it by CloseTimeout.
func (s *callStream) closingContext() (context.Context, context.CancelFunc) {
	if s.ctx.Err() == nil {
		return s.ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(s.ctx), transport.CloseTimeout)
}
