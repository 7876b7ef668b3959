package memory

import (
	"context"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// publisher is a handle for publishing to a topic.
type publisher struct {
	topic *topic
	life  *providers.Lifetime
}

// Send implements the pubsub driver's Topic.
func (p *publisher) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	if err := p.life.Check(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	p.topic.mu.Lock()
	defer p.topic.mu.Unlock()
	now := time.Now()
	for i, m := range msgs {
		results[i] = p.topic.publish(m, now)
	}
	p.topic.trimLog()
	p.topic.changed.Fire()
	return results
}

// Close implements the pubsub driver's Topic.
func (p *publisher) Close(context.Context) error {
	p.life.End()
	return nil
}
