package carrier

import (
	"context"
	"sync/atomic"
)

// maxIdle is the largest number of idle goroutines of one server.
const maxIdle = 64

// runner is a call that a worker runs.
type runner interface{ run() }

// workerPool runs calls in goroutines. Some of them wait for another call instead
// of ending, because their stacks have grown to the size that a call needs.
type workerPool struct {
	life  context.Context // idle goroutines end with it
	calls chan runner     // received by idle goroutines
	idle  atomic.Int64    // their number
}

func newWorkerPool(life context.Context) *workerPool {
	return &workerPool{life: life, calls: make(chan runner)}
}

// start runs a call in another goroutine.
func (w *workerPool) start(call runner) {
	select {
	case w.calls <- call:
	default:
		go w.runCalls(call)
	}
}

func (w *workerPool) runCalls(call runner) {
	for call != nil {
		call.run()
		call = w.nextCall()
	}
}

// nextCall waits for a call. It returns nil if enough goroutines wait already, or
// when the life of the pool ends.
func (w *workerPool) nextCall() (call runner) {
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
