package rpc

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// openPause is how long a call that waits for a server waits before it looks
// for one again.
const openPause = 20 * time.Millisecond

// connecting is how long after Dial calls wait for a server, as those of gRPC
// do while a connection is made: a program that dials what it has just begun to
// serve, in a goroutine, need not know how far that is.
const connecting = 300 * time.Millisecond

// patientStream is the client's end of a call that waits for readiness: it is
// opened again while nobody is there to take it. Until something has come
// back it keeps what was sent, which the credits bound.
type patientStream struct {
	carrier driver.Carrier
	config  driver.StreamConfig
	until   time.Time // zero: for ever

	mu      sync.Mutex
	stream  driver.Stream // nil while there is none
	sent    []driver.Frame
	settled bool // a server has the call
	closed  bool
}

// openPatiently returns a stream of a call that waits for readiness, or until a
// time that is not zero. It waits in Recv, as other calls do.
func openPatiently(ctx context.Context, carrier driver.Carrier, c driver.StreamConfig, until time.Time) (driver.Stream, error) {
	s := &patientStream{carrier: carrier, config: c, until: until, sent: c.First}
	if err := s.open(ctx); err != nil && !nobody(err) {
		return nil, err
	}
	return s, nil
}

// nobody reports whether an error says that no server has seen the call.
func nobody(err error) bool { return fairlead.CodeOf(err) == fairlead.NotFound }

// open opens the stream anew. An error that nobody is there has the code
// NotFound, wherever it comes from.
func (s *patientStream) open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fairlead.Errorf(fairlead.Closed, "the stream is closed")
	}
	c := s.config
	c.Call.Metadata, c.First = cloned(c.Call.Metadata, s.sent) // the driver keeps what it gets
	if deadline, ok := ctx.Deadline(); ok {
		c.Call.Timeout = max(1, time.Until(deadline))
	}
	stream, err := s.carrier.OpenStream(ctx, c)
	if fairlead.CodeOf(err) == fairlead.Unavailable {
		return fairlead.Errorf(fairlead.NotFound, "%w", err)
	}
	s.stream = stream
	if err != nil {
		s.stream = nil
	}
	return err
}

func cloned(fields []driver.Field, frames []driver.Frame) ([]driver.Field, []driver.Frame) {
	frames = slices.Clone(frames)
	for i := range frames {
		frames[i].Payload = bytes.Clone(frames[i].Payload)
	}
	return slices.Clone(fields), frames
}

// Send implements [driver.Stream].
func (s *patientStream) Send(ctx context.Context, frames []driver.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return s.stream.Send(ctx, frames)
	}
	s.sent = append(s.sent, frames...)
	if s.stream == nil {
		return nil
	}
	_, frames = cloned(nil, frames)
	err := s.stream.Send(ctx, frames)
	switch fairlead.CodeOf(err) {
	case fairlead.NotFound, fairlead.Closed:
		return nil // Recv sends it again, or says why not
	}
	return err
}

// Recv implements [driver.Stream].
func (s *patientStream) Recv(ctx context.Context) ([]driver.Frame, error) {
	for {
		s.mu.Lock()
		stream, settled := s.stream, s.settled
		s.mu.Unlock()
		err := error(fairlead.Errorf(fairlead.NotFound, "no server listens for the service"))
		var frames []driver.Frame
		if stream != nil {
			frames, err = stream.Recv(ctx)
		}
		switch {
		case settled:
			return frames, err
		case err == nil:
			s.settle()
			return frames, nil
		case !nobody(err), !s.until.IsZero() && time.Now().After(s.until):
			return nil, err
		}
		if err := s.again(ctx, stream); err != nil {
			return nil, err
		}
	}
}

// settle forgets what was kept.
func (s *patientStream) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled, s.sent = true, nil
}

// again replaces a stream that nobody took.
func (s *patientStream) again(ctx context.Context, old driver.Stream) error {
	if old != nil {
		_ = soon(old.Close) // it has ended
	}
	if !await.Pause(ctx, openPause) {
		return fairlead.ContextError(ctx)
	}
	if err := s.open(ctx); err != nil && !nobody(err) {
		return err
	}
	return nil
}

// Close implements [driver.Stream].
func (s *patientStream) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	stream := s.stream
	s.mu.Unlock()
	if stream == nil {
		return nil
	}
	return stream.Close(ctx)
}
