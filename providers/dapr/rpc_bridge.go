package dapr

import (
	"context"
	"sync"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// bridge is one end of a call: frames on this side, a gRPC stream on the
// other. The flow control of gRPC takes the place of credits on the way: what
// the gRPC stream has taken is given back to the sender on this side, and a
// message is taken from it only while the reader on this side has credit for
// it.
type bridge struct {
	mu       sync.Mutex
	changed  await.Signal   // of anything below
	inbox    []driver.Frame // for Recv
	outbox   []driver.Frame // from Send, not yet taken by the gRPC stream
	credit   int            // of the reader on this side
	finished error          // why nothing more comes, after the inbox
	closed   bool           // this side has closed
	sending  bool           // a goroutine empties the outbox
	owed     int            // credits of the sender on this side, not given back yet

	onSend func() // begins to empty the outbox; nil where somebody waits for it
	onEnd  func() // ends the gRPC stream
}

// Send implements [driver.Stream].
func (b *bridge) Send(ctx context.Context, frames []driver.Frame) error {
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
func (b *bridge) Recv(ctx context.Context) ([]driver.Frame, error) {
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

func (b *bridge) tryRecv() ([]driver.Frame, <-chan struct{}, error) {
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
func (b *bridge) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.changed.Fire()
		b.onEnd()
	}
	return nil
}

// deliver hands a frame of the other end to the reader on this side.
func (b *bridge) deliver(f driver.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.credit -= f.Cost()
	b.inbox = append(b.inbox, f)
	if f.Kind != driver.FrameHeaders { // with those comes a message
		b.changed.Fire()
	}
}

// giveBack returns the cost of a message to the sender on this side, who has at
// least half a window until then. So a small call hears nothing but what comes
// from its other end.
func (b *bridge) giveBack(f driver.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.owed += f.Cost(); b.owed >= driver.Window/2 {
		b.inbox = append(b.inbox, driver.Frame{Kind: driver.FrameCredit, Credit: b.owed})
		b.owed = 0
		b.changed.Fire()
	}
}

// finish says that nothing more comes, and why.
func (b *bridge) finish(err error, last ...driver.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished == nil {
		b.inbox = append(b.inbox, last...)
		b.finished = err
	}
	b.changed.Fire()
}

// over reports whether either side has ended the call. The lock is held.
func (b *bridge) over() bool { return b.closed || b.finished != nil }

// mayRead waits until the reader on this side has credit. It reports false
// when the call is over.
func (b *bridge) mayRead() bool {
	return b.await(func() bool { return b.credit > 0 })
}

// next waits for frames to put into the gRPC stream. It reports false when
// the call is over.
func (b *bridge) next() (frames []driver.Frame, ok bool) {
	ok = b.await(func() bool { return len(b.outbox) > 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	frames, b.outbox = b.outbox, nil
	return frames, ok || len(frames) > 0
}

// await waits until something holds. It reports false when the call is over
// and it does not hold.
func (b *bridge) await(holds func() bool) bool {
	b.mu.Lock()
	for !holds() {
		if b.over() {
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

// idle reports whether there is nothing to send any more, and then ends the
// sending.
func (b *bridge) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.outbox) > 0 {
		return false
	}
	b.sending = false
	return true
}
