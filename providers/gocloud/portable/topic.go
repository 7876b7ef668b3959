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
	// closeTimeout bounds the closes that gocloud.dev calls without a context.
	closeTimeout = 10 * time.Second
	// maxConcurrentSends bounds the messages of a topic that are under way.
	maxConcurrentSends = 256
)

// unbatched makes gocloud.dev send messages one by one.
var unbatched = &batcher.Options{MaxBatchSize: 1, MaxHandlers: maxConcurrentSends}

// OpenTopic opens a topic for publishing, and creates it if it does not exist.
// It returns the errors of pubsub.Open.
func OpenTopic(ctx context.Context, p fairlead.Provider, name string, opts ...Option) (*gcpubsub.Topic, error) {
	t, err := NewTopicDriver(ctx, p, name, opts...)
	if err != nil {
		return nil, err
	}
	return gcpubsub.NewTopic(t, unbatched), nil
}

// NewTopicDriver is like [OpenTopic], for programs that create the topic of
// gocloud.dev themselves, to give it another batcher.
func NewTopicDriver(ctx context.Context, p fairlead.Provider, name string, opts ...Option) (driver.Topic, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	t := &topic{}
	t.destination.open = func(ctx context.Context) (*pubsub.Topic, error) {
		if err := o.checkExists(ctx, p, name); err != nil {
			return nil, err
		}
		return pubsub.Open(ctx, p, name, o.open...)
	}
	if !o.mustExist {
		if _, err := t.destination.get(ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// topic is a driver of gocloud.dev.
type topic struct {
	errorConverter
	destination lazyHandle[*pubsub.Topic]
}

// SendBatch implements gocloud.dev's driver.Topic.
func (t *topic) SendBatch(ctx context.Context, ms []*driver.Message) error {
	destination, err := t.destination.get(ctx)
	if err != nil {
		return err
	}
	for _, m := range ms {
		if err := publish(ctx, destination, m); err != nil {
			return err
		}
	}
	return nil
}

func publish(ctx context.Context, destination *pubsub.Topic, m *driver.Message) error {
	msg := &pubsub.Message{Body: m.Body, Metadata: m.Metadata}
	if m.BeforeSend != nil {
		if err := m.BeforeSend(func(target any) bool { return assign(target, msg) }); err != nil {
			return err
		}
	}
	receipt, err := destination.Publish(ctx, *msg)
	if err != nil || m.AfterSend == nil {
		return err
	}
	return m.AfterSend(func(target any) bool { return assign(target, receipt) })
}

// assign sets the variable that target points to, if it has the type of value.
func assign[V any](target any, value V) bool {
	p, ok := target.(*V)
	if ok {
		*p = value
	}
	return ok
}

// IsRetryable implements gocloud.dev's driver.Topic. Nothing is repeated: the
// program decides.
func (t *topic) IsRetryable(error) bool { return false }

// As implements gocloud.dev's driver.Topic.
func (t *topic) As(target any) bool {
	destination, opened := t.destination.peek()
	return opened && assign(target, destination)
}

// Close implements gocloud.dev's driver.Topic.
func (t *topic) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.destination.close(ctx)
}
