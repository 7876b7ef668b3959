package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

const (
	// longestWait bounds one blocking read: after it, the state is looked at
	// again, so that whatever was missed is found.
	longestWait = 2 * time.Second
	// waitGrace is how much later the answer of a blocking read may come.
	waitGrace = time.Second
	// busyPause is the wait where the server cannot be waited on.
	busyPause = 50 * time.Millisecond
)

// source is where an inbox gets its deliveries from.
type source interface {
	// take returns deliveries that are at hand, at most limit, and when to ask
	// again without a change (zero: never). The inbox is locked.
	take(limit int, now time.Time) (out []driver.Delivery, next time.Time)
	// pull gets more from the server, or waits until there may be more, for
	// longestWait at most. Only one runs at a time. What it got it puts where
	// take finds it, with the inbox locked, even if nobody waits any more.
	pull(limit int) error
}

// inbox makes a Receive out of a source. A pull belongs to the subscription,
// not to the call that began it: a Receive that is canceled loses nothing.
type inbox struct {
	sync.Mutex
	pulling bool
	failed  error // of the last pull; the next Receive returns it
	changed await.Signal
}

func (b *inbox) receive(ctx context.Context, h *handle, src source, limit int) ([]driver.Delivery, error) {
	for {
		if err := h.ready(ctx); err != nil {
			return nil, err
		}
		out, until, err := b.look(h, src, min(limit, maxBatch))
		if len(out) > 0 || err != nil {
			return out, err
		}
		until.await(ctx, h)
	}
}

// until is what a Receive waits for.
type until struct {
	changed <-chan struct{}
	next    time.Time // zero: never
}

// look returns what is at hand, or begins a pull if none is under way.
func (b *inbox) look(h *handle, src source, limit int) ([]driver.Delivery, until, error) {
	b.Lock()
	defer b.Unlock()
	if err := b.failed; err != nil {
		b.failed = nil
		return nil, until{}, err
	}
	out, next := src.take(limit, time.Now())
	if len(out) > 0 {
		return out, until{}, nil
	}
	if !b.pulling {
		b.pulling = true
		go b.run(h, src, limit)
	}
	return nil, until{b.changed.Next(), next}, nil
}

func (b *inbox) run(h *handle, src source, limit int) {
	err := src.pull(limit)
	if err != nil {
		await.Pause(h.life, busyPause) // callers try again at once
	}
	b.Lock()
	defer b.Unlock()
	b.pulling, b.failed = false, err
	b.changed.Fire()
}

func (u until) await(ctx context.Context, h *handle) {
	var timeout <-chan time.Time
	if !u.next.IsZero() {
		timer := time.NewTimer(time.Until(u.next))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-u.changed:
	case <-timeout:
	case <-ctx.Done():
	case <-h.life.Done():
	}
}

// block waits until one of the streams has an entry behind the id given for
// it, or for d. It is a hint: what is there is then looked at anew.
func (h *handle) block(d time.Duration, streams ...string) {
	args := []any{"xread", "count", 1, "block", max(1, ceilMs(d)), "streams"}
	for _, s := range streams {
		args = append(args, s)
	}
	ctx, cancel := context.WithTimeout(h.life, d+waitGrace)
	defer cancel()
	cmd := goredis.NewCmd(ctx, args...)
	err := h.p.wait(ctx, streams[0], cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil && err != goredis.Nil {
		await.Pause(ctx, busyPause)
	}
}
