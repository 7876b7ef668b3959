package wire

import (
	"runtime"
	"sync"
)

// enough is how many bytes a frame gathers.
const enough = 4 << 20

// header is the most that an item of a frame takes besides its own bytes.
const header = 8

// outbox gathers what concurrent goroutines send into frames. Whoever finds
// nobody sending sends; no timer fills a frame.
type outbox[T any] struct {
	// send sends a frame, or begins to and returns what does the rest.
	send   func([]T) (rest func() error, err error)
	size   func(T) int
	broken func(error)

	mu      sync.Mutex
	queue   []T
	sending bool
	failed  bool
}

// put adds to the frame that goes out next, and sees to it that it does.
func (o *outbox[T]) put(item T) {
	o.mu.Lock()
	o.queue = append(o.queue, item)
	if o.sending || o.failed {
		o.mu.Unlock()
		return
	}
	o.sending = true
	frame := o.take()
	o.mu.Unlock()
	rest, err := o.send(frame)
	switch {
	case err != nil:
		o.fail(err)
	case rest != nil || !o.idle():
		go o.finish(rest) // the caller goes on to its own reply
	}
}

// idle ends the sending if nothing has gathered.
func (o *outbox[T]) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = len(o.queue) > 0
	return !o.sending
}

// finish sends the rest of a frame, and frames until there are no more.
func (o *outbox[T]) finish(rest func() error) {
	var err error
	for err == nil {
		if rest != nil {
			if err = rest(); err != nil {
				break
			}
		}
		runtime.Gosched() // lets those join who were just woken
		if o.idle() {
			return
		}
		o.mu.Lock()
		frame := o.take()
		o.mu.Unlock()
		rest, err = o.send(frame)
	}
	o.fail(err)
}

// take returns what has gathered, or as much of it as is enough for a frame.
func (o *outbox[T]) take() []T {
	n, bytes := 0, 0
	for n < len(o.queue) && (n == 0 || bytes < enough) {
		bytes += o.size(o.queue[n]) + header
		n++
	}
	frame := o.queue[:n:n]
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	return frame
}

func (o *outbox[T]) fail(err error) {
	o.mu.Lock()
	o.queue, o.failed = nil, true
	o.mu.Unlock()
	o.broken(err)
}
