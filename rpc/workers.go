package rpc

import (
	"context"
	"sync/atomic"
)

// maxIdle is how many goroutines of one server wait for another call.
const maxIdle = 64

// work is a call to carry out.
type work interface{ run() }

// workers are goroutines that carry out calls. A few of them wait for another
// call instead of ending, since their stacks have grown to what a call needs.
type workers struct {
	life  context.Context // none waits longer
	calls chan work       // to those that wait
	idle  atomic.Int64
}

func newWorkers(life context.Context) *workers {
	return &workers{life: life, calls: make(chan work)}
}

// do carries a call out in another goroutine.
func (w *workers) do(call work) {
	select {
	case w.calls <- call:
	default:
		go w.carryOut(call)
	}
}

func (w *workers) carryOut(call work) {
	for call != nil {
		call.run()
		call = w.next()
	}
}

// next waits for a call, unless enough others do; nil is the end.
func (w *workers) next() (call work) {
	defer w.idle.Add(-1)
	if w.idle.Add(1) > maxIdle {
		return nil
	}
	select {
	case call = <-w.calls:
	case <-w.life.Done():
	}
	return call
}
