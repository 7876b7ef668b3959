package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// trimInterval is how often a handle drops messages that need not be kept.
const trimInterval = time.Second

// idleConsumerAge is how long a consumer that holds nothing must be silent
// before it counts as gone. If it comes back, Redis creates it again.
const idleConsumerAge = time.Hour

// trimmer drops what need not be kept from a topic, as part of other calls.
type trimmer struct {
	p    *provider
	keys topicKeys
	next atomic.Int64 // Unix time in nanoseconds
}

// trimIfDue trims if the last time was long enough ago. After a failure, the
// next call of trim does the work.
func (t *trimmer) trimIfDue(ctx context.Context) {
	now, next := time.Now(), t.next.Load()
	if now.UnixNano() < next || !t.next.CompareAndSwap(next, now.Add(trimInterval).UnixNano()) {
		return
	}
	if err := t.trim(ctx, idleConsumerAge); err != nil {
		t.p.logger.DebugContext(ctx, "redis: old messages of a topic could not be dropped; a later call tries again", "key", t.keys.stream, "error", err)
	}
}

// trim also removes the consumers that hold nothing and were silent for
// idleAge.
func (t *trimmer) trim(ctx context.Context, idleAge time.Duration) error {
	_, err := t.p.query(ctx, t.keys.stream, trimScript.command(ctx, []string{t.keys.stream, t.keys.meta},
		milliseconds(t.p.config.pubsub.retention), milliseconds(idleAge)))
	return err
}
