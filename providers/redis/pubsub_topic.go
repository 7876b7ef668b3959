package redis

import (
	"context"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// publisher is a handle of a topic.
type publisher struct {
	handle
	name         string
	keys         topicKeys
	transactions bool // the server lets this user have them
	trimmer      trimmer
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	if err := p.createTopic(ctx, c.Name); err != nil {
		return nil, err
	}
	keys := p.topicKeys(c.Name)
	transactions, err := p.transactions(ctx, keys.stream)
	if err != nil {
		return nil, err
	}
	return &publisher{
		handle: newHandle(p), name: c.Name, keys: keys,
		transactions: transactions, trimmer: trimmer{p: p, keys: keys},
	}, nil
}

// Send implements the pubsub driver's Topic. All messages go in one step, which
// stores all or none; those whose deadline has passed are left out before.
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
	if err := fits(msgs, live); err != nil {
		return nil, err
	}
	for range 3 {
		positions, err := t.store(ctx, msgs, live)
		if err != nil || positions != nil {
			return positions, err
		}
		if err := t.p.createTopic(ctx, t.name); err != nil {
			return nil, err
		}
	}
	return nil, fairlead.Errorf(fairlead.Unavailable, "the topic is being deleted again and again")
}

func fits(msgs []driver.Message, live []int) error {
	size := 0
	for _, i := range live {
		size += msgs[i].Size()
	}
	if size > maxSendBytes {
		return fairlead.Errorf(fairlead.TooLarge, "the messages of one call have %d bytes together, at most %d are possible; send fewer at once", size, maxSendBytes)
	}
	return nil
}

// store stores all messages or none, and returns their positions; no positions
// if there is no topic.
func (t *publisher) store(ctx context.Context, msgs []driver.Message, live []int) ([]any, error) {
	if t.plain(msgs, live) {
		if positions, settled, err := t.add(ctx, msgs, live); settled {
			return positions, err
		}
	}
	return t.remember(ctx, msgs, live)
}

// remember stores messages with a script, which looks at their ids.
func (t *publisher) remember(ctx context.Context, msgs []driver.Message, live []int) ([]any, error) {
	m := t.p.newMark()
	args := make([]any, 0, 2+6*len(live))
	args = append(args, m, ceilMs(t.p.config.pubsub.window))
	for _, i := range live {
		count := len(args) + 1
		args = appendFields(append(args, msgs[i].ID, 0), msgs[i])
		args[count] = len(args) - count - 1
	}
	reply, err := t.p.run(ctx, m, publishScript, []string{t.keys.stream, t.keys.ids, t.keys.older}, args...)
	if err != nil || text(reply) == "gone" {
		return nil, err
	}
	if positions := list(reply); len(positions) == len(live) {
		return positions, nil
	}
	return nil, unexpectedReply(reply)
}

// Close implements the pubsub driver's Topic.
func (t *publisher) Close(context.Context) error {
	t.end()
	return nil
}
