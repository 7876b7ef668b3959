package redis

import (
	"context"
	"sync/atomic"
	"time"

	"fairlead.dev"
)

// handle is the open part of a topic's or subscription's handle. It ends with
// the provider at the latest.
type handle struct {
	p    *provider
	life context.Context
	end  context.CancelFunc
}

func newHandle(p *provider) handle {
	h := handle{p: p}
	h.life, h.end = context.WithCancel(p.life)
	return h
}

// ready returns why a call with this context may not go on.
func (h *handle) ready(ctx context.Context) error {
	if h.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the handle, or the provider, is closed")
	}
	if err := ctx.Err(); err != nil {
		return mapErr(err, false)
	}
	return nil
}

// trimEvery is how often a handle looks for messages that need not be kept.
const trimEvery = time.Second

// vanishedAfter is how long a consumer that holds nothing is not heard of
// until it is taken for gone. One that was not is made anew when it comes back.
const vanishedAfter = time.Hour

// trimmer drops what need not be kept, now and then, along with other calls.
type trimmer struct {
	p    *provider
	keys topicKeys
	next atomic.Int64 // Unix time in nanoseconds
}

// perhaps trims if it is time to. A failure is left to the next time.
func (t *trimmer) perhaps(ctx context.Context) {
	now, next := time.Now(), t.next.Load()
	if now.UnixNano() < next || !t.next.CompareAndSwap(next, now.Add(trimEvery).UnixNano()) {
		return
	}
	if err := t.trim(ctx, vanishedAfter); err != nil {
		t.p.logger.DebugContext(ctx, "redis: trimming a topic failed", "key", t.keys.stream, "error", err)
	}
}

func (t *trimmer) trim(ctx context.Context, vanished time.Duration) error {
	_, err := t.p.run(ctx, nil, trimScript, []string{t.keys.stream, t.keys.meta},
		ceilMs(t.p.config.pubsub.retention), ceilMs(vanished))
	return err
}

// ceilMs returns d in milliseconds, rounded up.
func ceilMs(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
