package redis

import (
	"context"
	"strings"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// publisher is a handle of a topic.
type publisher struct {
	handle
	name    string
	keys    topicKeys
	trimmer trimmer
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	if err := p.createTopic(ctx, c.Name); err != nil {
		return nil, err
	}
	keys := p.topicKeys(c.Name)
	return &publisher{handle: newHandle(p), name: c.Name, keys: keys, trimmer: trimmer{p: p, keys: keys}}, nil
}

// Send implements the pubsub driver's Topic. All messages go in one call of a
// script, which stores all or none; those whose deadline has passed are left
// out before.
func (t *publisher) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	if err := t.ready(ctx); err != nil {
		return failAll(results, err)
	}
	now := time.Now()
	var live []int
	for i, m := range msgs {
		if !m.Deadline.IsZero() && !now.Before(m.Deadline) {
			results[i].Err = unsent(m.Deadline, now)
		} else {
			live = append(live, i)
		}
	}
	if len(live) > 0 {
		t.sendSome(ctx, msgs, live, results)
		t.trimmer.perhaps(ctx)
	}
	return results
}

func failAll(results []driver.SendResult, err error) []driver.SendResult {
	for i := range results {
		results[i].Err = err
	}
	return results
}

// sendSome sends the messages with the numbers in live.
func (t *publisher) sendSome(ctx context.Context, msgs []driver.Message, live []int, results []driver.SendResult) {
	positions, err := t.publish(ctx, msgs, live)
	for n, i := range live {
		if err != nil {
			results[i].Err = err
			continue
		}
		position, duplicate := strings.CutPrefix(text(at(positions, n)), "=")
		results[i] = driver.SendResult{ID: msgs[i].ID, Position: position, Duplicate: duplicate}
		if msgs[i].ID == "" {
			results[i].ID = position
		}
	}
}

// publish returns the positions. A topic that was deleted in the meantime is
// created again; nothing was stored before.
func (t *publisher) publish(ctx context.Context, msgs []driver.Message, live []int) ([]any, error) {
	fields, err := t.fields(msgs, live)
	if err != nil {
		return nil, err
	}
	for range 3 {
		m := t.p.newMark()
		args := append([]any{m, ceilMs(t.p.config.pubsub.window)}, fields...)
		reply, err := t.p.run(ctx, m, publishScript, []string{t.keys.stream, t.keys.ids, t.keys.older}, args...)
		if err != nil {
			return nil, err
		}
		if positions := list(reply); len(positions) == len(live) {
			return positions, nil
		}
		if text(reply) != "gone" {
			return nil, unexpectedReply(reply)
		}
		if err := t.p.createTopic(ctx, t.name); err != nil {
			return nil, err
		}
	}
	return nil, providers.Errorf(providers.Unavailable, "the topic is being deleted again and again")
}

func (t *publisher) fields(msgs []driver.Message, live []int) ([]any, error) {
	args, size := make([]any, 0, 6*len(live)), 0
	for _, i := range live {
		size += sizeOf(msgs[i])
		args = appendFields(append(args, msgs[i].ID), msgs[i])
	}
	if size > maxSendBytes {
		return nil, providers.Errorf(providers.TooLarge, "the messages of one call have %d bytes together, at most %d are possible; send fewer at once", size, maxSendBytes)
	}
	return args, nil
}

// Close implements the pubsub driver's Topic.
func (t *publisher) Close(context.Context) error {
	t.end()
	return nil
}
