package carrier

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

// retryPause is the time between two attempts of a call that waits for a server.
const retryPause = 20 * time.Millisecond

// retryStream is the client's end of a call that waits for a server. It opens the
// stream again as long as no server has seen the call, which gRPC calls a
// transparent retry. Until the call is committed it buffers the frames that were
// sent; the credits bound them.
type retryStream struct {
	carrier driver.Carrier
	config  driver.StreamConfig
	until   time.Time // of the last attempt; zero for no limit

	mu        sync.Mutex
	stream    driver.Stream // nil between two attempts
	buffered  []driver.Frame
	committed bool // a server has the call
	closed    bool
}

// openRetryStream returns the stream of a call that waits for a server, until a
// time unless that is zero. It waits in Recv, as other calls do.
func openRetryStream(ctx context.Context, carrier driver.Carrier, c driver.StreamConfig, until time.Time) (driver.Stream, error) {
	s := &retryStream{carrier: carrier, config: c, until: until, buffered: c.InitialFrames}
	if err := s.openStream(ctx); err != nil && !isUnseen(err) {
		return nil, err
	}
	return s, nil
}

// isUnseen reports whether an error says that no server has seen the call.
func isUnseen(err error) bool { return fairlead.CodeOf(err) == fairlead.NotFound }

// openStream makes an attempt. An error has the code NotFound if no server has
// seen the call, whichever code the driver used for it.
func (s *retryStream) openStream(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fairlead.Errorf(fairlead.Closed, "the stream is closed")
	}
	c := s.config
	c.Call.Metadata, c.InitialFrames = slices.Clone(c.Call.Metadata), cloneFrames(s.buffered) // the driver owns what it gets
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

func cloneFrames(frames []driver.Frame) []driver.Frame {
	frames = slices.Clone(frames)
	for i := range frames {
		frames[i].Payload = bytes.Clone(frames[i].Payload)
	}
	return frames
}

// Send implements [driver.Stream].
func (s *retryStream) Send(ctx context.Context, frames []driver.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		return s.stream.Send(ctx, frames)
	}
	s.buffered = append(s.buffered, frames...)
	if s.stream == nil {
		return nil
	}
	err := s.stream.Send(ctx, cloneFrames(frames))
	switch fairlead.CodeOf(err) {
	case fairlead.NotFound, fairlead.Closed:
		return nil // Recv makes another attempt, or returns the reason
	}
	return err
}

// Recv implements [driver.Stream].
func (s *retryStream) Recv(ctx context.Context) ([]driver.Frame, error) {
	for {
		s.mu.Lock()
		stream, committed := s.stream, s.committed
		s.mu.Unlock()
		err := error(fairlead.Errorf(fairlead.NotFound, "no server listens for the service"))
		var frames []driver.Frame
		if stream != nil {
			frames, err = stream.Recv(ctx)
		}
		switch {
		case committed:
			return frames, err
		case err == nil:
			s.commit()
			return frames, nil
		case !isUnseen(err), !s.until.IsZero() && time.Now().After(s.until):
			return nil, err
		}
		if err := s.retry(ctx, stream); err != nil {
			return nil, err
		}
	}
}

// commit ends the retries, and drops the buffered frames.
func (s *retryStream) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed, s.buffered = true, nil
}

// retry replaces a stream that no server has seen.
func (s *retryStream) retry(ctx context.Context, old driver.Stream) error {
	if old != nil {
		_ = transport.CloseWithTimeout(old.Close) // it has ended
	}
	if !await.Pause(ctx, retryPause) {
		return fairlead.ContextError(ctx)
	}
	if err := s.openStream(ctx); err != nil && !isUnseen(err) {
		return err
	}
	return nil
}

// Close implements [driver.Stream].
func (s *retryStream) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	stream := s.stream
	s.mu.Unlock()
	if stream == nil {
		return nil
	}
	return stream.Close(ctx)
}
