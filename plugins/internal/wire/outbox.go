package wire

import (
	"runtime"
	"sync"
)

// frameTarget is the size at which a frame takes no further item, in bytes.
const frameTarget = 4 << 20

// itemOverhead is the most that an item of a frame takes besides its own bytes.
const itemOverhead = 8

// outbox gathers the items that concurrent goroutines send into frames. The
// goroutine that finds the outbox idle sends; no timer fills a frame.
type outbox[T any] struct {
	// sendFrame sends a frame, or begins to and returns the function that sends
	// the rest.
	sendFrame func([]T) (sendRest func() error, err error)
	size      func(T) int
	onError   func(error)

	mu      sync.Mutex
	queue   []T
	sending bool
	failed  bool
}

// enqueue adds an item to the next frame, and sends that frame unless another
// goroutine is sending.
func (o *outbox[T]) enqueue(item T) {
	o.mu.Lock()
	o.queue = append(o.queue, item)
	if o.sending || o.failed {
		o.mu.Unlock()
		return
	}
	o.sending = true
	frame := o.takeFrame()
	o.mu.Unlock()
	sendRest, err := o.sendFrame(frame)
	switch {
	case err != nil:
		o.failWith(err)
	case sendRest != nil || !o.stopIfEmpty():
		go o.sendQueued(sendRest) // the caller proceeds to its own reply
	}
}

// stopIfEmpty marks the outbox idle if nothing is queued, and reports whether
// it is.
func (o *outbox[T]) stopIfEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = len(o.queue) > 0
	return !o.sending
}

// sendQueued sends the rest of a frame, and then frames until the queue is
// empty.
func (o *outbox[T]) sendQueued(sendRest func() error) {
	var err error
	for err == nil {
		if sendRest != nil {
			if err = sendRest(); err != nil {
				break
			}
		}
		runtime.Gosched() // goroutines that were just woken can join the frame
		if o.stopIfEmpty() {
			return
		}
		o.mu.Lock()
		frame := o.takeFrame()
		o.mu.Unlock()
		sendRest, err = o.sendFrame(frame)
	}
	o.failWith(err)
}

// takeFrame removes the items of one frame from the queue: at least one, and no
// more after frameTarget bytes.
func (o *outbox[T]) takeFrame() []T {
	n, bytes := 0, 0
	for n < len(o.queue) && (n == 0 || bytes < frameTarget) {
		bytes += o.size(o.queue[n]) + itemOverhead
		n++
	}
	frame := o.queue[:n:n]
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	return frame
}

func (o *outbox[T]) failWith(err error) {
	o.mu.Lock()
	o.queue, o.failed = nil, true
	o.mu.Unlock()
	o.onError(err)
}
