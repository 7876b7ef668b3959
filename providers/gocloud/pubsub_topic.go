package gocloud

import (
	"context"
	"strings"
	"sync"

	"gocloud.dev/gcerrors"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// topic is a handle for publishing. A topic of gocloud.dev whose connection
// is lost stays so: it is replaced.
type topic struct {
	driver *PubSub
	name   string
	life   lifetime
	end    func()

	opening sync.Mutex // held while one is opened
	mu      sync.Mutex
	current *Topic
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	t := &topic{driver: p.backend.PubSub, name: c.Name, life: newLifetime(p.life.ctx)}
	t.end = sync.OnceFunc(func() { t.replace(nil) })
	err := t.life.call(ctx, func(ctx context.Context) error { _, err := t.open(ctx); return err })
	if err != nil {
		t.life.end()
		t.end()
		return nil, failed(openFailed(err))
	}
	context.AfterFunc(t.life.ctx, t.end)
	return t, nil
}

// open returns the topic of gocloud.dev, and opens it if need be.
func (t *topic) open(ctx context.Context) (*Topic, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	t.mu.Lock()
	current := t.current
	t.mu.Unlock()
	if current != nil {
		return current, nil
	}
	err := guard(func() (err error) {
		current, err = t.driver.OpenTopic(ctx, t.name)
		return err
	})
	if err != nil {
		return nil, failed(err)
	}
	t.mu.Lock()
	t.current = current
	t.mu.Unlock()
	if err := t.life.ready(ctx); err != nil {
		t.replace(nil)
		return nil, err
	}
	return current, nil
}

// replace closes the topic of gocloud.dev, if it is still the failed one, or
// whatever it is for nil.
func (t *topic) replace(failed *Topic) {
	t.mu.Lock()
	old := t.current
	if old == nil || (failed != nil && failed != old) {
		t.mu.Unlock()
		return
	}
	t.current = nil
	t.mu.Unlock()
	if old.Close == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = guard(func() error { return old.Close(ctx) })
}

// Send implements the pubsub driver's Topic.
func (t *topic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	each(len(msgs), maxBatch, func(i int) { results[i] = t.send(ctx, msgs[i]) })
	return results
}

func (t *topic) send(ctx context.Context, m driver.Message) driver.SendResult {
	if !m.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, m.Deadline)
		defer cancel()
	}
	if m.ID == "" {
		m.ID = newID()
	}
	to, err := t.ensure(ctx)
	if err != nil {
		return driver.SendResult{Err: err}
	}
	return driver.SendResult{ID: m.ID, Err: t.hand(ctx, to, m)}
}

// ensure returns the topic of gocloud.dev. Nothing was sent if it fails.
func (t *topic) ensure(ctx context.Context) (to *Topic, err error) {
	t.mu.Lock()
	to = t.current
	t.mu.Unlock()
	if to != nil {
		return to, t.life.ready(ctx)
	}
	err = t.life.call(ctx, func(ctx context.Context) error {
		opened, err := t.open(ctx)
		if err == nil {
			to = opened
		}
		return err
	})
	return to, failed(openFailed(err))
}

// hand hands a message over. From then on its outcome is open until the
// driver says that it was stored.
func (t *topic) hand(ctx context.Context, to *Topic, m driver.Message) error {
	sent := encode(m)
	if to.Prepare != nil {
		to.Prepare(sent)
	}
	err := t.life.call(ctx, func(ctx context.Context) error {
		if err := to.Send(ctx, sent); err != nil {
			return t.outcome(ctx, to, err)
		}
		return nil
	})
	return writeFailed(err)
}

// outcome says what an error means for a message, and drops a topic that may
// not work any more. A batch of gocloud.dev has one error for all its
// messages: a refusal of one says nothing about the others.
func (t *topic) outcome(ctx context.Context, to *Topic, err error) error {
	if strings.Contains(err.Error(), "Topic has been Shutdown") { // by replace; it is not sent then
		return fairlead.Errorf(fairlead.Unavailable, "the topic failed meanwhile, and is opened again: %w", err)
	}
	if to.Outcome != nil {
		if err = to.Outcome(err); err == nil {
			return nil
		}
	}
	if ctx.Err() == nil && gcerrors.Code(err) != gcerrors.InvalidArgument {
		t.replace(to)
	}
	return fairlead.Errorf(fairlead.UnknownOutcome, "%w", err)
}

// Close implements the pubsub driver's Topic.
func (t *topic) Close(context.Context) error {
	t.life.end()
	t.end()
	return nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) (names []string, err error) {
	err = p.life.call(ctx, func(ctx context.Context) (err error) {
		names, err = p.backend.PubSub.Topics(ctx, prefix)
		return err
	})
	return names, failed(openFailed(err))
}

// DeleteTopic implements the pubsub driver's Provider. Consumers that are open
// fail with NotFound.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	err := p.life.call(ctx, func(ctx context.Context) error { return p.backend.PubSub.DeleteTopic(ctx, name) })
	if err == nil {
		p.hub.forget(func(g groupName) bool { return g.topic == name })
	}
	return writeFailed(err)
}

// DeleteGroup implements the pubsub driver's Provider. Consumers that are open
// fail with NotFound.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	err := p.life.call(ctx, func(ctx context.Context) error { return p.backend.PubSub.DeleteGroup(ctx, topic, group) })
	if err == nil {
		p.hub.forget(func(g groupName) bool { return g == groupName{topic, group} })
	}
	return writeFailed(err)
}

// withPrefix returns the keys of m that start with prefix.
func withPrefix[V any](m map[string]V, prefix string) []string {
	var names []string
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}
