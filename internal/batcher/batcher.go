// Package batcher combines the operations of concurrent callers into driver
// calls.
package batcher

import (
	"context"
	"slices"
	"sync"

	"fairlead.dev"
)

// Batcher combines the operations of concurrent callers into driver calls. A
// caller makes its own call while fewer calls run than the driver gains from.
// Otherwise its operation is queued, and the next call takes what is queued.
// There is no timer: a lone caller calls the driver at once, in its own
// goroutine.
type Batcher[Op, Res any] struct {
	callDriver func(ctx context.Context, ops []Op) []Res
	sizeOf     func(Op) int
	maxOps     int // in one call
	pipelines  int // calls that run at once; 0: every caller makes its own call

	batchContext  context.Context // of the calls that serve several callers
	cancelBatches context.CancelFunc

	pool    sync.Pool // of queuedOps that no caller and no call refers to
	mu      sync.Mutex
	running int // calls
	queue   []*queuedOp[Op, Res]
	closed  bool
	idle    chan struct{} // closed after Close, when no call runs
}

// maxBatchBytes bounds the operations of one driver call, so that no call becomes
// too large for the backend. Calls of this size gain nothing from growing.
const maxBatchBytes = 16 << 20

// New returns a batcher over a driver's call, which returns one result for each
// operation. The function sizeOf returns the size of an operation in bytes.
func New[Op, Res any](l fairlead.Limits, sizeOf func(Op) int, callDriver func(context.Context, []Op) []Res) *Batcher[Op, Res] {
	ctx, cancel := context.WithCancel(context.Background())
	return &Batcher[Op, Res]{
		callDriver: callDriver, sizeOf: sizeOf, maxOps: max(l.MaxBatch, 1), pipelines: l.Pipelines,
		batchContext: ctx, cancelBatches: cancel, idle: make(chan struct{}),
	}
}

// ExecuteOne executes one operation and returns its result. The error is nil if
// the driver returned one. If the context ends before, the error has the code
// of the context's error if the operation was still queued, and UnknownOutcome
// if it was handed over to the driver.
func (b *Batcher[Op, Res]) ExecuteOne(ctx context.Context, op Op) (Res, error) {
	queued, err := b.startCallOrQueue(ctx, op)
	switch {
	case err != nil:
		var none Res
		return none, err
	case queued != nil:
		return b.awaitResult(ctx, queued)
	default:
		defer b.endCall()
		return b.callDriver(ctx, []Op{op})[0], nil
	}
}

// ExecuteMany executes the operations of one caller in as few driver calls as
// the limits allow, and returns their results in order. It bypasses the queue.
func (b *Batcher[Op, Res]) ExecuteMany(ctx context.Context, ops []Op) ([]Res, error) {
	if err := b.startCall(); err != nil {
		return nil, err
	}
	defer b.endCall()
	results := make([]Res, 0, len(ops))
	for len(ops) > 0 {
		n := b.countFitting(len(ops), func(i int) Op { return ops[i] })
		results = append(results, b.callDriver(ctx, ops[:n])...)
		ops = ops[n:]
	}
	return results, nil
}

// ExecuteTogether executes the operations of one caller, at most MaxBatch, in
// one driver call. It bypasses the queue.
func (b *Batcher[Op, Res]) ExecuteTogether(ctx context.Context, ops []Op) ([]Res, error) {
	if err := b.startCall(); err != nil {
		return nil, err
	}
	defer b.endCall()
	return b.callDriver(ctx, ops), nil
}

// startCallOrQueue returns nil if the caller may call the driver itself; it then
// ends the call with endCall. Otherwise it queues the operation and returns it.
func (b *Batcher[Op, Res]) startCallOrQueue(ctx context.Context, op Op) (*queuedOp[Op, Res], error) {
	if err := ctx.Err(); err != nil {
		return nil, errNotHandedOver(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if b.pipelines == 0 || b.running < b.pipelines {
		b.running++
		return nil, nil
	}
	queued := b.newQueuedOp(ctx, op)
	b.queue = append(b.queue, queued)
	return queued, nil
}

// startCall lets a caller call the driver, however many calls run.
func (b *Batcher[Op, Res]) startCall() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	b.running++
	return nil
}

// endCall ends a caller's own call. If operations are queued by then, a
// goroutine executes them.
func (b *Batcher[Op, Res]) endCall() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 && b.running <= b.pipelines {
		go b.executeQueue()
		return
	}
	b.countEnded()
}

// countEnded needs mu to be locked.
func (b *Batcher[Op, Res]) countEnded() {
	b.running--
	if b.closed && b.running == 0 {
		close(b.idle)
	}
}

// countFitting returns how many of n operations, at least one, fit in one call.
func (b *Batcher[Op, Res]) countFitting(n int, op func(int) Op) int {
	n = min(n, b.maxOps)
	for i, bytes := 0, 0; i < n; i++ {
		if bytes += b.sizeOf(op(i)); bytes > maxBatchBytes && i > 0 {
			return i
		}
	}
	return n
}

// awaitResult waits for the result of a queued operation. If ctx ends before, it
// removes the operation from the queue.
func (b *Batcher[Op, Res]) awaitResult(ctx context.Context, queued *queuedOp[Op, Res]) (Res, error) {
	select {
	case result := <-queued.result:
		b.recycle(queued)
		return result, nil
	case <-ctx.Done():
		var none Res
		return none, b.abandon(ctx, queued)
	}
}

// abandon gives up a queued operation, and returns the caller's error.
func (b *Batcher[Op, Res]) abandon(ctx context.Context, queued *queuedOp[Op, Res]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if queued.handedOver {
		return errHandedOver(ctx.Err())
	}
	i := slices.Index(b.queue, queued)
	b.queue = append(b.queue[:i], b.queue[i+1:]...)
	return errNotHandedOver(ctx.Err())
}

// Close refuses new operations, waits for those under way until the context
// ends, and then cancels the rest. It returns the context's error if it had to
// cancel any. Calls after the first return nil at once.
func (b *Batcher[Op, Res]) Close(ctx context.Context) error {
	if !b.refuseNew() {
		return nil
	}
	defer b.cancelBatches()
	select {
	case <-b.idle:
		return nil // also if the context has ended: nothing runs
	default:
	}
	select {
	case <-b.idle:
		return nil
	case <-ctx.Done():
		return errHandedOver(ctx.Err())
	}
}

// refuseNew reports whether this call is the first.
func (b *Batcher[Op, Res]) refuseNew() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	if b.running == 0 {
		close(b.idle)
	}
	return true
}

var errClosed = fairlead.Errorf(fairlead.Closed, "the handle is closed")

func errNotHandedOver(cause error) error {
	return fairlead.Errorf(fairlead.CodeOf(cause), "%w", cause)
}

func errHandedOver(cause error) error {
	return fairlead.Errorf(fairlead.UnknownOutcome, "gave up after the operation was handed over to the backend: %w", cause)
}
