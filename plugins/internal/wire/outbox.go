package wire

import (
	"runtime"
	"sync"
)

// outbox gathers what concurrent goroutines send into frames. Whoever finds
// nobody sending sends, as long as there is anything: no goroutine waits to
// send, and no timer fills a frame.
type outbox[F comparable] struct {
	send   func(F) error
	broken func(error)

	mu      sync.Mutex
	next    F // the frame that gathers; the zero value if there is none
	sending bool
	failed  bool
}

// put adds to the frame that goes out next, and sees to it that it does. add
// gets the zero value for a new frame.
func (o *outbox[F]) put(add func(F) F) {
	o.mu.Lock()
	o.next = add(o.next)
	if o.sending || o.failed {
		o.mu.Unlock()
		return
	}
	o.sending = true
	o.mu.Unlock()
	for first := true; ; first = false {
		if !first {
			runtime.Gosched() // lets those join who were just woken
		}
		f, ok := o.take()
		if !ok {
			return
		}
		if err := o.send(f); err != nil {
			o.fail(err)
			return
		}
	}
}

func (o *outbox[F]) take() (F, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var none F
	f := o.next
	o.next = none
	if f == none {
		o.sending = false
	}
	return f, f != none
}

func (o *outbox[F]) fail(err error) {
	o.mu.Lock()
	var none F
	o.next, o.failed = none, true
	o.mu.Unlock()
	o.broken(err)
}
