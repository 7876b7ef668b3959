package redis

import (
	"context"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// publisher is a handle of a topic.
type publisher struct {
	p            *provider
	life         *providers.Lifetime
	name         string
	keys         topicKeys
	transactions bool // the server lets this user have them
	trimmer      trimmer
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	keys := p.topicKeys(c.Name)
	if err := p.checkPermissions(ctx, fairlead.PubSub, keys.stream); err != nil {
		return nil, err
	}
	if err := p.createTopic(ctx, c.Name); err != nil {
		return nil, err
	}
	transactions, err := p.allowsTransactions(ctx, keys.stream)
	if err != nil {
		return nil, err
	}
	return &publisher{
		p: p, life: p.life.Child("topic"), name: c.Name, keys: keys,
		transactions: transactions, trimmer: trimmer{p: p, keys: keys},
	}, nil
}

// Send implements the pubsub driver's Topic. One step of the server stores all
// messages or none. Messages whose deadlines have passed are left out before.
func (t *publisher) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	if err := t.life.Check(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	var buf [32]int // on the stack: enough for most calls
	live := dropExpired(buf[:0], msgs, results)
	if len(live) == 0 {
		return results
	}
	positions, err := t.storeMessages(ctx, msgs, live)
	for n, i := range live {
		results[i] = sendResult(msgs[i], asText(elementOf(positions, n)), err)
	}
	t.trimmer.trimIfDue(ctx)
	return results
}

// dropExpired appends the numbers of the messages whose deadlines have not passed
// to live, and fills in the results of the others.
func dropExpired(live []int, msgs []driver.Message, results []driver.SendResult) []int {
	now := time.Now()
	for i, m := range msgs {
		if !m.Deadline.IsZero() && !now.Before(m.Deadline) {
			results[i].Err = deadlinePassedError(m.Deadline, now)
		} else {
			live = append(live, i)
		}
	}
	return live
}

// sendResult takes a position as the publish script returns it: the position of a
// duplicate has the prefix "=".
func sendResult(m driver.Message, position string, err error) driver.SendResult {
	if err != nil {
		return driver.SendResult{Err: err}
	}
	r := driver.SendResult{ID: m.ID}
	r.Position, r.Duplicate = strings.CutPrefix(position, "=")
	if r.ID == "" {
		r.ID = r.Position
	}
	return r
}

// Close implements the pubsub driver's Topic.
func (t *publisher) Close(context.Context) error {
	t.life.End()
	return nil
}
