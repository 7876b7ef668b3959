package portable

import (
	"context"
	"runtime"
	"sync"
	"time"

	"fairlead.dev/providers"
)

// Group gathers the operations of concurrent callers into driver calls: it
// takes what waits, calls, and repeats. A lone caller goes straight through
// in its own goroutine; nothing ever waits for a timer.
type Group[Op, Res any] struct {
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

// NewGroup returns a group over a driver's call. The size is that of an
// operation, in bytes.
func NewGroup[Op, Res any](l providers.Limits, size func(Op) int, call func(context.Context, []Op) []Res) *Group[Op, Res] {
	ctx, stop := context.WithCancel(context.Background())
	return &Group[Op, Res]{
		call: call, size: size, max: max(l.MaxBatch, 1), pipe: l.Pipelines,
		ctx: ctx, stop: stop, idle: make(chan struct{}),
	}
}

// Do carries out one operation. The error is nil if the driver answered. A
// caller that gives up gets the code of its context's error if the operation
// was not handed over, and UnknownOutcome if it was.
func (g *Group[Op, Res]) Do(ctx context.Context, op Op) (Res, error) {
	w, err := g.enter(ctx, op)
	switch {
	case err != nil:
		var none Res
		return none, err
	case w != nil:
		return g.await(ctx, w)
	default:
		defer g.leave()
		return g.call(ctx, []Op{op})[0], nil
	}
}

// DoMany carries out operations of one caller, in as few driver calls as the
// limits allow. It passes by the queue.
func (g *Group[Op, Res]) DoMany(ctx context.Context, ops []Op) ([]Res, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	defer g.leave()
	results := make([]Res, 0, len(ops))
	for len(ops) > 0 {
		n := g.fit(len(ops), func(i int) Op { return ops[i] })
		results = append(results, g.call(ctx, ops[:n])...)
		ops = ops[n:]
	}
	return results, nil
}

// DoTogether carries out operations of one caller, at most MaxBatch, in one
// driver call. It passes by the queue.
func (g *Group[Op, Res]) DoTogether(ctx context.Context, ops []Op) ([]Res, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	defer g.leave()
	return g.call(ctx, ops), nil
}

// pass lets a caller through without a place in the queue.
func (g *Group[Op, Res]) pass() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.running++
	return nil
}

// fit returns how many of n operations, at least one, go in one call.
func (g *Group[Op, Res]) fit(n int, op func(int) Op) int {
	n = min(n, g.max)
	for i, bytes := 0, 0; i < n; i++ {
		if bytes += g.size(op(i)); bytes > enough && i > 0 {
			return i
		}
	}
	return n
}

var errClosed = providers.Errorf(providers.Closed, "the handle is closed")

// enter returns nil if the caller may go straight through, and a place in the
// queue otherwise.
func (g *Group[Op, Res]) enter(ctx context.Context, op Op) (*waiter[Op, Res], error) {
	if err := ctx.Err(); err != nil {
		return nil, gaveUp(err, false)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errClosed
	}
	if g.pipe == 0 || g.running < g.pipe {
		g.running++
		return nil, nil
	}
	w := g.waiter()
	w.op, w.taken = op, false
	w.deadline, _ = ctx.Deadline()
	g.queue = append(g.queue, w)
	return w, nil
}

func (g *Group[Op, Res]) waiter() *waiter[Op, Res] {
	if w, ok := g.spare.Get().(*waiter[Op, Res]); ok {
		return w
	}
	return &waiter[Op, Res]{answer: make(chan Res, 1)}
}

func (g *Group[Op, Res]) await(ctx context.Context, w *waiter[Op, Res]) (Res, error) {
	select {
	case r := <-w.answer:
		var none Op
		w.op = none
		g.spare.Put(w)
		return r, nil
	case <-ctx.Done():
	}
	var none Res
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.taken {
		return none, gaveUp(ctx.Err(), true)
	}
	for i, queued := range g.queue {
		if queued == w {
			g.queue = append(g.queue[:i], g.queue[i+1:]...)
			break
		}
	}
	return none, gaveUp(ctx.Err(), false)
}

// gaveUp is the error of a caller whose context ended.
func gaveUp(cause error, handedOver bool) error {
	if handedOver {
		return providers.Errorf(providers.UnknownOutcome, "gave up after the operation was handed over: %w", cause)
	}
	return providers.Errorf(providers.CodeOf(cause), "%w", cause)
}

// leave ends a call; if others wait meanwhile, a goroutine serves them.
func (g *Group[Op, Res]) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) > 0 && g.running <= g.pipe {
		go g.serve()
		return
	}
	g.finish()
}

func (g *Group[Op, Res]) finish() {
	g.running--
	if g.closed && g.running == 0 {
		close(g.idle)
	}
}

// serve makes calls for those who wait until nobody does.
func (g *Group[Op, Res]) serve() {
	for {
		g.gather()
		batch := g.take()
		if batch == nil {
			return
		}
		g.answer(batch)
	}
}

// yields bounds how often a call waits for others to join: each yield lets a
// processor run what is ready there, and costs less than a microsecond if
// nothing is.
const yields = 8

// gather lets the callers join that were just answered, for as long as that
// makes the queue grow.
func (g *Group[Op, Res]) gather() {
	for before, i := 0, 0; i < yields; i++ {
		runtime.Gosched()
		n := g.waiting()
		if n == before {
			return
		}
		before = n
	}
}

func (g *Group[Op, Res]) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

func (g *Group[Op, Res]) take() []*waiter[Op, Res] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.finish()
		return nil
	}
	n := g.fit(len(g.queue), func(i int) Op { return g.queue[i].op })
	batch := g.queue[:n:n]
	g.queue = g.queue[n:]
	for _, w := range batch {
		w.taken = true
	}
	return batch
}

func (g *Group[Op, Res]) answer(batch []*waiter[Op, Res]) {
	ops := make([]Op, len(batch))
	for i, w := range batch {
		ops[i] = w.op
	}
	ctx, cancel := g.bounded(batch)
	defer cancel()
	for i, r := range g.call(ctx, ops) {
		batch[i].answer <- r
	}
}

// bounded returns a context that ends when every caller of the batch has
// given up, if all of them have a deadline.
func (g *Group[Op, Res]) bounded(batch []*waiter[Op, Res]) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, w := range batch {
		if w.deadline.IsZero() {
			return g.ctx, func() {}
		}
		if w.deadline.After(last) {
			last = w.deadline
		}
	}
	return context.WithDeadline(g.ctx, last)
}

// Close refuses new operations, waits for those under way until the context
// ends, and cancels what is left then. It returns the context's error if it
// had to. Calls after the first return nil at once.
func (g *Group[Op, Res]) Close(ctx context.Context) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	if g.running == 0 {
		close(g.idle)
	}
	g.mu.Unlock()
	defer g.stop()
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx.Err(), true)
	}
}
