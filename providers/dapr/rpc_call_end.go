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
func (b *callEnd) Send(ctx context.Context, frames []driver.Frame) error {
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.finished != nil {
		return errStreamClosed
	}
	for _, f := range frames {
		if f.Kind == driver.FrameCredit {
			b.credit += f.Credit
		} else {
			b.outbox = append(b.outbox, f)
		}
	}
	if len(b.outbox) > 0 && !b.sending && b.onSend != nil {
		b.sending = true
		b.onSend()
	}
	b.changed.Fire()
	return nil
}

var errStreamClosed = fairlead.Errorf(fairlead.Closed, "the call has ended")

// Recv implements [driver.Stream].
func (b *callEnd) Recv(ctx context.Context) ([]driver.Frame, error) {
	for {
		frames, changed, err := b.tryRecv()
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

func (b *callEnd) tryRecv() ([]driver.Frame, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, nil, errStreamClosed
	case len(b.inbox) > 0:
		frames := b.inbox
		b.inbox = nil
		return frames, nil, nil
	case b.finished != nil:
		return nil, nil, b.finished
	}
	return nil, b.changed.Next(), nil
}

// Close implements [driver.Stream].
func (b *callEnd) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.changed.Fire()
		b.onEnd()
	}
	return nil
}

// deliver hands a frame of the other end to the reader.
func (b *callEnd) deliver(f driver.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.credit -= f.Cost()
	b.inbox = append(b.inbox, f)
	if f.Kind != driver.FrameHeaders { // a message follows them
		b.changed.Fire()
	}
}

// returnCredit returns the cost of a message to the sender. It saves credits up
// to half a window, which the sender has at least until then. So the end of a
// small call receives no credit frames.
func (b *callEnd) returnCredit(f driver.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.owed += f.Cost(); b.owed >= driver.Window/2 {
		b.inbox = append(b.inbox, driver.Frame{Kind: driver.FrameCredit, Credit: b.owed})
		b.owed = 0
		b.changed.Fire()
	}
}

// finish notes why no more frames come. The reader gets the last frames first.
func (b *callEnd) finish(err error, last ...driver.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished == nil {
		b.inbox = append(b.inbox, last...)
		b.finished = err
	}
	b.changed.Fire()
}

// isOver reports whether either side has ended the call. The lock is held.
func (b *callEnd) isOver() bool { return b.closed || b.finished != nil }

// waitForCredit waits until the reader has credit. It returns false if the call
// ends first.
func (b *callEnd) waitForCredit() bool {
	return b.waitUntil(func() bool { return b.credit > 0 })
}

// nextFrames waits for frames to put into the gRPC stream. It returns false if
// the call is over and there are none.
func (b *callEnd) nextFrames() (frames []driver.Frame, ok bool) {
	ok = b.waitUntil(func() bool { return len(b.outbox) > 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	frames, b.outbox = b.outbox, nil
	return frames, ok || len(frames) > 0
}

// waitUntil waits until a condition holds. It returns false if the call ends
// first.
func (b *callEnd) waitUntil(holds func() bool) bool {
	b.mu.Lock()
	for !holds() {
		if b.isOver() {
			b.mu.Unlock()
			return false
		}
		changed := b.changed.Next()
		b.mu.Unlock()
		<-changed
		b.mu.Lock()
	}
	b.mu.Unlock()
	return true
}

// stopSendingIfEmpty ends the sending if there is nothing to send, and reports
// that.
func (b *callEnd) stopSendingIfEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.outbox) > 0 {
		return false
	}
	b.sending = false
	return true
}
