// Package batcher gathers the calls of concurrent callers into driver calls.
package batcher

import (
	"context"
	"runtime"
	"sync"
	"time"

	"fairlead.dev"
)

// Batcher gathers the operations of concurrent callers into driver calls: it
// takes what waits, calls, and repeats. A lone caller goes straight through
// in its own goroutine; nothing ever waits for a timer.
type Batcher[Op, Res any] struct {
	call func(ctx context.Context, ops []Op) []Res
	size func(Op) int
	max  int // operations in one call
	pipe int // calls under way at once; 0: every caller makes its own

	ctx  context.Context // of calls that serve several callers
	stop context.CancelFunc

	spare   sync.Pool // of waiters that nobody else knows any more
	mu      sync.Mutex
	running int
	queue   []*waiter[Op, Res]
	closed  bool
	idle    chan struct{} // closed when nothing runs any more, after Close
}

type waiter[Op, Res any] struct {
	op       Op
	deadline time.Time
	taken    bool
	answer   chan Res // holds one
}

// enough is how many bytes one driver call gathers: what is gained by sharing a
// call is gained by then, and no call becomes too large for the backend.
const enough = 16 << 20

// New returns a batcher over a driver's call. The size is that of an
// operation, in bytes.
func New[Op, Res any](l fairlead.Limits, size func(Op) int, call func(context.Context, []Op) []Res) *Batcher[Op, Res] {
	ctx, stop := context.WithCancel(context.Background())
	return &Batcher[Op, Res]{
		call: call, size: size, max: max(l.MaxBatch, 1), pipe: l.Pipelines,
		ctx: ctx, stop: stop, idle: make(chan struct{}),
	}
}

// Do carries out one operation. The error is nil if the driver answered. A
// caller that gives up gets the code of its context's error if the operation
// was not handed over, and UnknownOutcome if it was.
func (b *Batcher[Op, Res]) Do(ctx context.Context, op Op) (Res, error) {
	w, err := b.enter(ctx, op)
	switch {
	case err != nil:
		var none Res
		return none, err
	case w != nil:
		return b.await(ctx, w)
	default:
		defer b.leave()
		return b.call(ctx, []Op{op})[0], nil
	}
}

// DoMany carries out operations of one caller, in as few driver calls as the
// limits allow. It passes by the queue.
func (b *Batcher[Op, Res]) DoMany(ctx context.Context, ops []Op) ([]Res, error) {
	if err := b.pass(); err != nil {
		return nil, err
	}
	defer b.leave()
	results := make([]Res, 0, len(ops))
	for len(ops) > 0 {
		n := b.fit(len(ops), func(i int) Op { return ops[i] })
		results = append(results, b.call(ctx, ops[:n])...)
		ops = ops[n:]
	}
	return results, nil
}

// DoTogether carries out operations of one caller, at most MaxBatch, in one
// driver call. It passes by the queue.
func (b *Batcher[Op, Res]) DoTogether(ctx context.Context, ops []Op) ([]Res, error) {
	if err := b.pass(); err != nil {
		return nil, err
	}
	defer b.leave()
	return b.call(ctx, ops), nil
}

// pass lets a caller through without a place in the queue.
func (b *Batcher[Op, Res]) pass() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	b.running++
	return nil
}

// fit returns how many of n operations, at least one, go in one call.
func (b *Batcher[Op, Res]) fit(n int, op func(int) Op) int {
	n = min(n, b.max)
	for i, bytes := 0, 0; i < n; i++ {
		if bytes += b.size(op(i)); bytes > enough && i > 0 {
			return i
		}
	}
	return n
}

var errClosed = fairlead.Errorf(fairlead.Closed, "the handle is closed")

// enter returns nil if the caller may go straight through, and a place in the
// queue otherwise.
func (b *Batcher[Op, Res]) enter(ctx context.Context, op Op) (*waiter[Op, Res], error) {
	if err := ctx.Err(); err != nil {
		return nil, gaveUp(err, false)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if b.pipe == 0 || b.running < b.pipe {
		b.running++
		return nil, nil
	}
	w := b.waiter()
	w.op, w.taken = op, false
	w.deadline, _ = ctx.Deadline()
	b.queue = append(b.queue, w)
	return w, nil
}

func (b *Batcher[Op, Res]) waiter() *waiter[Op, Res] {
	if w, ok := b.spare.Get().(*waiter[Op, Res]); ok {
		return w
	}
	return &waiter[Op, Res]{answer: make(chan Res, 1)}
}

func (b *Batcher[Op, Res]) await(ctx context.Context, w *waiter[Op, Res]) (Res, error) {
	select {
	case r := <-w.answer:
		var none Op
		w.op = none
		b.spare.Put(w)
		return r, nil
	case <-ctx.Done():
	}
	var none Res
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.taken {
		return none, gaveUp(ctx.Err(), true)
	}
	for i, queued := range b.queue {
		if queued == w {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			break
		}
	}
	return none, gaveUp(ctx.Err(), false)
}

// gaveUp is the error of a caller whose context ended.
func gaveUp(cause error, handedOver bool) error {
	if handedOver {
		return fairlead.Errorf(fairlead.UnknownOutcome, "gave up after the operation was handed over: %w", cause)
	}
	return fairlead.Errorf(fairlead.CodeOf(cause), "%w", cause)
}

// leave ends a call; if others wait meanwhile, a goroutine serves them.
func (b *Batcher[Op, Res]) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 && b.running <= b.pipe {
		go b.serve()
		return
	}
	b.finish()
}

func (b *Batcher[Op, Res]) finish() {
	b.running--
	if b.closed && b.running == 0 {
		close(b.idle)
	}
}

// serve makes calls for those who wait until nobody does.
func (b *Batcher[Op, Res]) serve() {
	for {
		b.gather()
		batch := b.take()
		if batch == nil {
			return
		}
		b.answer(batch)
	}
}

// yields bounds how often a call waits for others to join: each yield lets a
// processor run what is ready there, and costs less than a microsecond if
// nothing is.
const yields = 8

// gather lets the callers join that were just answered, for as long as that
// makes the queue grow.
func (b *Batcher[Op, Res]) gather() {
	for before, i := 0, 0; i < yields; i++ {
		runtime.Gosched()
		n := b.waiting()
		if n == before {
			return
		}
		before = n
	}
}

func (b *Batcher[Op, Res]) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

func (b *Batcher[Op, Res]) take() []*waiter[Op, Res] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.finish()
		return nil
	}
	n := b.fit(len(b.queue), func(i int) Op { return b.queue[i].op })
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	for _, w := range batch {
		w.taken = true
	}
	return batch
}

func (b *Batcher[Op, Res]) answer(batch []*waiter[Op, Res]) {
	ops := make([]Op, len(batch))
	for i, w := range batch {
		ops[i] = w.op
	}
	ctx, cancel := b.bounded(batch)
	defer cancel()
	for i, r := range b.call(ctx, ops) {
		batch[i].answer <- r
	}
}

// bounded returns a context that ends when every caller of the batch has
// given up, if all of them have a deadline.
func (b *Batcher[Op, Res]) bounded(batch []*waiter[Op, Res]) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, w := range batch {
		if w.deadline.IsZero() {
			return b.ctx, func() {}
		}
		if w.deadline.After(last) {
			last = w.deadline
		}
	}
	return context.WithDeadline(b.ctx, last)
}

// Close refuses new operations, waits for those under way until the context
// ends, and cancels what is left then. It returns the context's error if it
// had to. Calls after the first return nil at once.
func (b *Batcher[Op, Res]) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	if b.running == 0 {
		close(b.idle)
	}
	b.mu.Unlock()
	defer b.stop()
	select {
	case <-b.idle:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx.Err(), true)
	}
}
