package batcher

import (
	"context"
	"runtime"
	"time"
)

// queuedOp is an operation that waits for a driver call.
type queuedOp[Op, Res any] struct {
	op         Op
	deadline   time.Time // of its caller; zero for none
	handedOver bool      // it is no longer queued
	result     chan Res  // buffers one
}

func (b *Batcher[Op, Res]) newQueuedOp(ctx context.Context, op Op) *queuedOp[Op, Res] {
	queued, ok := b.pool.Get().(*queuedOp[Op, Res])
	if !ok {
		queued = &queuedOp[Op, Res]{result: make(chan Res, 1)}
	}
	queued.op, queued.handedOver = op, false
	queued.deadline, _ = ctx.Deadline()
	return queued
}

// recycle takes back a queuedOp whose result was received.
func (b *Batcher[Op, Res]) recycle(queued *queuedOp[Op, Res]) {
	var none Op
	queued.op = none
	b.pool.Put(queued)
}

// executeQueue calls the driver until the queue is empty.
func (b *Batcher[Op, Res]) executeQueue() {
	for {
		b.letCallersQueue()
		batch := b.takeBatch()
		if batch == nil {
			return
		}
		b.executeBatch(batch)
	}
}

// maxYields bounds how often a call yields to let callers queue more. A yield
// lets a processor run the goroutines that are ready, and costs less than a
// microsecond if there are none.
const maxYields = 8

// letCallersQueue yields to the callers that have just received a result, for as
// long as that makes the queue grow.
func (b *Batcher[Op, Res]) letCallersQueue() {
	for before, i := 0, 0; i < maxYields; i++ {
		runtime.Gosched()
		n := b.queueLength()
		if n == before {
			return
		}
		before = n
	}
}

func (b *Batcher[Op, Res]) queueLength() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// takeBatch takes the operations of one call from the queue. If the queue is
// empty, it returns nil and counts the goroutine's call as ended.
func (b *Batcher[Op, Res]) takeBatch() []*queuedOp[Op, Res] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.countEnded()
		return nil
	}
	n := b.countFitting(len(b.queue), func(i int) Op { return b.queue[i].op })
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	for _, queued := range batch {
		queued.handedOver = true
	}
	return batch
}

// executeBatch calls the driver and hands each caller its result.
func (b *Batcher[Op, Res]) executeBatch(batch []*queuedOp[Op, Res]) {
	ops := make([]Op, len(batch))
	for i, queued := range batch {
		ops[i] = queued.op
	}
	ctx, cancel := b.contextFor(batch)
	defer cancel()
	for i, result := range b.callDriver(ctx, ops) {
		batch[i].result <- result
	}
}

// contextFor returns the context of a call. It ends with the last deadline of
// the callers, if all of them have one.
func (b *Batcher[Op, Res]) contextFor(batch []*queuedOp[Op, Res]) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, queued := range batch {
		if queued.deadline.IsZero() {
			return b.batchContext, func() {}
		}
		if queued.deadline.After(last) {
			last = queued.deadline
		}
	}
	return context.WithDeadline(b.batchContext, last)
}
