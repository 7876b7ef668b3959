package rpc

import (
	"context"
	"sync/atomic"
)

// maxIdle is how many goroutines of one server wait for another call.
const maxIdle = 32

// workers are goroutines that carry out calls. A few of them wait for another
// call instead of ending, since their stacks have grown to what a call needs.
type workers struct {
	life  context.Context // none waits longer
	calls chan *localCall // to those that wait
	idle  atomic.Int64
}

func newWorkers(life context.Context) *workers {
	return &workers{life: life, calls: make(chan *localCall)}
}

// do carries a call out in another goroutine.
func (w *workers) do(l *localCall) {
	select {
	case w.calls <- l:
	default:
		go w.work(l)
	}
}

func (w *workers) work(l *localCall) {
	for l != nil {
		l.run()
		l = w.next()
	}
}

// next waits for a call, unless enough others do; nil is the end.
func (w *workers) next() (l *localCall) {
	defer w.idle.Add(-1)
	if w.idle.Add(1) > maxIdle {
		return nil
	}
	select {
	case l = <-w.calls:
	case <-w.life.Done():
	}
	return l
}
