package portable

import (
	"context"
	"time"

	gcpubsub "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/batcher"
	"gocloud.dev/pubsub/driver"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

const (
	// closeTimeout bounds the closing of what gocloud.dev closes without a
	// context.
	closeTimeout = 10 * time.Second
	// sendsAtOnce bounds the messages of a topic that are under way.
	sendsAtOnce = 256
)

// one makes gocloud.dev hand over messages one by one.
var one = &batcher.Options{MaxBatchSize: 1, MaxHandlers: sendsAtOnce}

// OpenTopic opens a topic for publishing, and creates it if need be. Errors are
// those of pubsub.Open.
func OpenTopic(ctx context.Context, p fairlead.Provider, name string, opts ...Option) (*gcpubsub.Topic, error) {
	t, err := NewTopicDriver(ctx, p, name, opts...)
	if err != nil {
		return nil, err
	}
	return gcpubsub.NewTopic(t, one), nil
}

// NewTopicDriver is as [OpenTopic], for those who make the topic of gocloud.dev
// themselves, to give it another batcher.
func NewTopicDriver(ctx context.Context, p fairlead.Provider, name string, opts ...Option) (driver.Topic, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	t := &topic{}
	t.to.open = func(ctx context.Context) (*pubsub.Topic, error) {
		if err := o.exists(ctx, p, name); err != nil {
			return nil, err
		}
		return pubsub.Open(ctx, p, name, o.open...)
	}
	if !o.mustExist {
		if _, err := t.to.get(ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// topic is a driver of gocloud.dev.
type topic struct {
	errorsOf
	to lazy[*pubsub.Topic]
}

// SendBatch implements gocloud.dev's driver.Topic.
func (t *topic) SendBatch(ctx context.Context, ms []*driver.Message) error {
	to, err := t.to.get(ctx)
	if err != nil {
		return err
	}
	for _, m := range ms {
		if err := send(ctx, to, m); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, to *pubsub.Topic, m *driver.Message) error {
	msg := &pubsub.Message{Body: m.Body, Metadata: m.Metadata}
	if m.BeforeSend != nil {
		if err := m.BeforeSend(func(target any) bool { return assign(target, msg) }); err != nil {
			return err
		}
	}
	receipt, err := to.Publish(ctx, *msg)
	if err != nil || m.AfterSend == nil {
		return err
	}
	return m.AfterSend(func(target any) bool { return assign(target, receipt) })
}

// assign sets what target points to, if it is of the type of value.
func assign[V any](target any, value V) bool {
	p, ok := target.(*V)
	if ok {
		*p = value
	}
	return ok
}

// IsRetryable implements gocloud.dev's driver.Topic. Nothing is repeated: who
// sends decides.
func (t *topic) IsRetryable(error) bool { return false }

// As implements gocloud.dev's driver.Topic.
func (t *topic) As(target any) bool {
	to, opened := t.to.peek()
	return opened && assign(target, to)
}

// Close implements gocloud.dev's driver.Topic.
func (t *topic) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.to.close(ctx)
}
