package dapr

import (
	"context"
	"sync"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// callEnd is one end of a call. Toward Fairlead it is a stream of frames; on the
// other side it is a gRPC stream. The flow control of gRPC replaces the credits
// of the contract in between: a sender gets credits back when the gRPC stream
// has accepted its message, and a message is read from the gRPC stream only
// while the reader has credit for it.
type callEnd struct {
	mu       sync.Mutex
	changed  providers.Signal // of anything below
	inbox    []driver.Frame   // for Recv
	outbox   []driver.Frame   // from Send, not yet taken by the gRPC stream
	credit   int              // of the reader
	finished error            // why no frames come after those in the inbox
	closed   bool             // Close was called
	sending  bool             // a goroutine empties the outbox
	owed     int              // credits of the sender that were not returned yet

	onSend func() // starts to empty the outbox; nil if a goroutine waits in nextFrames
	onEnd  func() // ends the gRPC stream
}

// Send implements [driver.Stream].
func (e *callEnd) Send(ctx context.Context, frames []driver.Frame) error {
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.finished != nil {
		return errStreamClosed
	}
	for _, f := range frames {
		if f.Kind == driver.FrameCredit {
			e.credit += f.Credit
		} else {
			e.outbox = append(e.outbox, f)
		}
	}
	if len(e.outbox) > 0 && !e.sending && e.onSend != nil {
		e.sending = true
		e.onSend()
	}
	e.changed.Fire()
	return nil
}

var errStreamClosed = fairlead.Errorf(fairlead.Closed, "the call has ended")

// Recv implements [driver.Stream].
func (e *callEnd) Recv(ctx context.Context) ([]driver.Frame, error) {
	for {
		frames, changed, err := e.tryRecv()
		if len(frames) > 0 || err != nil {
			return frames, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fairlead.ContextError(ctx)
		}
	}
}

func (e *callEnd) tryRecv() ([]driver.Frame, <-chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errStreamClosed
	}
	return providers.TakeInbox(&e.inbox, e.finished, &e.changed)
}

// Close implements [driver.Stream].
func (e *callEnd) Close(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		e.changed.Fire()
		e.onEnd()
	}
	return nil
}

// deliver hands a frame of the other end to the reader.
func (e *callEnd) deliver(f driver.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.credit -= f.Cost()
	e.inbox = append(e.inbox, f)
	if f.Kind != driver.FrameHeaders { // a message follows them
		e.changed.Fire()
	}
}

// returnCredit returns the cost of a message to the sender. It saves credits up
// to half a window, which the sender has at least until then. So the end of a
// small call receives no credit frames.
func (e *callEnd) returnCredit(f driver.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.owed += f.Cost(); e.owed >= driver.Window/2 {
		e.inbox = append(e.inbox, driver.Frame{Kind: driver.FrameCredit, Credit: e.owed})
		e.owed = 0
		e.changed.Fire()
	}
}

// finish notes why no more frames come. The reader gets the last frames first.
func (e *callEnd) finish(err error, last ...driver.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished == nil {
		e.inbox = append(e.inbox, last...)
		e.finished = err
	}
	e.changed.Fire()
}

// isOver reports whether either side has ended the call. The lock is held.
func (e *callEnd) isOver() bool { return e.closed || e.finished != nil }

// waitForCredit waits until the reader has credit. It returns false if the call
// ends first.
func (e *callEnd) waitForCredit() bool {
	return e.waitUntil(func() bool { return e.credit > 0 })
}

// nextFrames waits for frames to put into the gRPC stream. It returns false if
// the call is over and there are none.
func (e *callEnd) nextFrames() (frames []driver.Frame, ok bool) {
	ok = e.waitUntil(func() bool { return len(e.outbox) > 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	frames, e.outbox = e.outbox, nil
	return frames, ok || len(frames) > 0
}

// waitUntil waits until a condition holds. It returns false if the call ends
// first.
func (e *callEnd) waitUntil(holds func() bool) bool {
	e.mu.Lock()
	for !holds() {
		if e.isOver() {
			e.mu.Unlock()
			return false
		}
		changed := e.changed.Next()
		e.mu.Unlock()
		<-changed
		e.mu.Lock()
	}
	e.mu.Unlock()
	return true
}

// stopSendingIfEmpty ends the sending if there is nothing to send, and reports
// that.
func (e *callEnd) stopSendingIfEmpty() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.outbox) > 0 {
		return false
	}
	e.sending = false
	return true
}
