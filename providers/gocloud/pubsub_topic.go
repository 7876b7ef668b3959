package gocloud

import (
	"context"
	"strings"
	"sync"

	"gocloud.dev/gcerrors"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// topic is a handle for publishing. A topic of gocloud.dev does not recover from
// a lost connection: it is discarded and opened again.
type topic struct {
	driver *PubSub
	name   string
	life   *providers.Lifetime
	end    func()

	opening sync.Mutex // held while the topic is opened
	mu      sync.Mutex
	current *Topic
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	t := &topic{driver: p.backend.PubSub, name: c.Name, life: p.life.Child("topic")}
	t.end = sync.OnceFunc(func() { p.handles.removeTopic(t); t.discard(nil) })
	p.handles.addTopic(t)
	err := call(ctx, t.life, func(ctx context.Context) error { _, err := t.reopen(ctx); return err })
	if err != nil {
		t.life.End()
		t.end()
		return nil, convertError(unwrapAbandoned(err))
	}
	context.AfterFunc(t.life.Context(), t.end)
	return t, nil
}

// reopen returns the topic of gocloud.dev, and opens it if it is not open.
func (t *topic) reopen(ctx context.Context) (*Topic, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	t.mu.Lock()
	current := t.current
	t.mu.Unlock()
	if current != nil {
		return current, nil
	}
	err := recoverPanic(func() (err error) {
		current, err = t.driver.OpenTopic(ctx, t.name)
		return err
	})
	if err != nil {
		return nil, convertError(err)
	}
	t.mu.Lock()
	t.current = current
	t.mu.Unlock()
	if err := t.life.Check(ctx); err != nil {
		t.discard(nil)
		return nil, err
	}
	return current, nil
}

// discard closes the topic of gocloud.dev if it is still the failed one. For nil
// it closes any topic.
func (t *topic) discard(failed *Topic) {
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
	_ = recoverPanic(func() error { return old.Close(ctx) })
}

// Send implements the pubsub driver's Topic.
func (t *topic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	forEach(len(msgs), maxBatch, func(i int) { results[i] = t.publish(ctx, msgs[i]) })
	return results
}

// publish publishes one message within its deadline.
func (t *topic) publish(ctx context.Context, m driver.Message) driver.SendResult {
	if !m.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, m.Deadline)
		defer cancel()
	}
	if m.ID == "" {
		m.ID = newID()
	}
	to, err := t.openTopic(ctx)
	if err != nil {
		return driver.SendResult{Err: err}
	}
	return driver.SendResult{ID: m.ID, Err: t.sendMessage(ctx, to, m)}
}

// openTopic returns the topic of gocloud.dev. Nothing was sent if it fails.
func (t *topic) openTopic(ctx context.Context) (to *Topic, err error) {
	t.mu.Lock()
	to = t.current
	t.mu.Unlock()
	if to != nil {
		return to, t.life.Check(ctx)
	}
	err = call(ctx, t.life, func(ctx context.Context) error {
		opened, err := t.reopen(ctx)
		if err == nil {
			to = opened
		}
		return err
	})
	return to, convertError(unwrapAbandoned(err))
}

// sendMessage hands a message to the driver. From then on its outcome is unknown
// until the driver reports that it was stored.
func (t *topic) sendMessage(ctx context.Context, to *Topic, m driver.Message) error {
	sent := encodeMessage(m)
	if to.Prepare != nil {
		to.Prepare(sent)
	}
	err := call(ctx, t.life, func(ctx context.Context) error {
		if err := to.Send(ctx, sent); err != nil {
			return t.convertSendError(ctx, to, err)
		}
		return nil
	})
	return convertWriteError(err)
}

// convertSendError returns what an error means for a message, and discards a
// topic that may not work any more. A batch of gocloud.dev has one error for all
// its messages: the refusal of one message says nothing about the others.
func (t *topic) convertSendError(ctx context.Context, to *Topic, err error) error {
	if strings.Contains(err.Error(), "Topic has been Shutdown") { // by discard: the message was not sent
		return fairlead.Errorf(fairlead.Unavailable, "the topic has failed and is opened again; publish the message again: %w", err)
	}
	if to.Outcome != nil {
		if err = to.Outcome(err); err == nil {
			return nil
		}
	}
	if ctx.Err() == nil && gcerrors.Code(err) != gcerrors.InvalidArgument {
		t.discard(to)
	}
	return fairlead.Errorf(fairlead.UnknownOutcome, "%w", err)
}

// Close implements the pubsub driver's Topic.
func (t *topic) Close(context.Context) error {
	t.life.End()
	t.end()
	return nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) (names []string, err error) {
	err = call(ctx, p.life, func(ctx context.Context) (err error) {
		names, err = p.backend.PubSub.Topics(ctx, prefix)
		return err
	})
	return names, convertError(unwrapAbandoned(err))
}

// DeleteTopic implements the pubsub driver's Provider. Open consumers report
// Compacted, and continue. A message that an open handle publishes creates the
// topic again.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	err := call(ctx, p.life, func(ctx context.Context) error { return p.backend.PubSub.DeleteTopic(ctx, name) })
	if err == nil {
		p.handles.restartTopic(ctx, name)
	}
	return convertWriteError(err)
}

// DeleteGroup implements the pubsub driver's Provider. Open consumers fail with
// NotFound.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	err := call(ctx, p.life, func(ctx context.Context) error { return p.backend.PubSub.DeleteGroup(ctx, topic, group) })
	if err == nil {
		p.handles.removeDeleted(groupName{topic, group})
	}
	return convertWriteError(err)
}

// namesWithPrefix returns the keys of m that start with prefix.
func namesWithPrefix[V any](m map[string]V, prefix string) []string {
	var names []string
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}
