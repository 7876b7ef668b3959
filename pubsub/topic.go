package pubsub

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/internal/handle"
	"fairlead.dev/internal/telemetry"
	"fairlead.dev/pubsub/driver"
)

// Topic publishes to one topic of a provider.
type Topic struct {
	handle *handle.Handle
	object string // for errors: the topic's name
	driver driver.Topic
	// maxMessageBytes is the published limit; a dead letter has some room more.
	maxMessageBytes int

	batcher *batcher.Batcher[driver.Message, driver.SendResult]
	sending *telemetry.Operation
	stored  counter
	life    context.Context // ends with Close
	end     context.CancelFunc
	closing atomic.Bool
}

// Open returns a handle for publishing to the topic of that name, and creates
// the topic if it does not exist. A name has 1 to 128 of the characters A–Z
// a–z 0–9 . _ - and starts with a letter or digit.
//
// [Require] is the only option. Errors: Unsupported if the provider has no
// pubsub facet, or if a requirement is not met; the error names everything that
// is missing, with the reasons.
func Open(ctx context.Context, p fairlead.Provider, name string, opts ...TopicOption) (*Topic, error) {
	t, err := openTopic(ctx, p, name, opts)
	return t, handle.Annotate(err, "pubsub.Open", "", objectOf(name, ""), "")
}

func openTopic(ctx context.Context, p fairlead.Provider, name string, opts []TopicOption) (*Topic, error) {
	o, err := readTopicOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := handle.ValidateName("topic", name); err != nil {
		return nil, err
	}
	h, err := handle.Open(ctx, p, fairlead.PubSub, o.require)
	if err != nil {
		return nil, err
	}
	d, err := openDriverTopic(ctx, p, name)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	return newTopic(h, d, name), nil
}

func openDriverTopic(ctx context.Context, p fairlead.Provider, name string) (driver.Topic, error) {
	dp, err := driverOf(p)
	if err != nil {
		return nil, err
	}
	return dp.OpenTopic(ctx, driver.TopicConfig{Name: name})
}

// driverOf returns the provider as a driver of this facet.
func driverOf(p fairlead.Provider) (driver.Provider, error) {
	dp, ok := p.(driver.Provider)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Internal, "the provider describes the pubsub facet but does not implement it")
	}
	return dp, nil
}

func newTopic(h *handle.Handle, d driver.Topic, name string) *Topic {
	attrs := topicAttributes(h, name)
	t := &Topic{
		handle: h,
		object: objectOf(name, ""),
		driver: d,

		maxMessageBytes: h.Facet.Limits.MaxMessageBytes,

		batcher: batcher.New(h.Facet.Limits, driver.Message.Size, d.Send),
		sending: newOperation(newTelemetry(h), "pubsub.Publish", "send", name, trace.SpanKindProducer, attrs).About(objectOf(name, "")),
		stored:  newCounter("messaging.client.sent.messages", "Messages that were stored.", attrs),
	}
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// Describe returns the description that held when the topic was opened.
func (t *Topic) Describe() fairlead.FacetDescription { return copyDescription(t.handle) }

// Close waits until the context ends for publications under way, and releases
// the handle. Calls after the first return nil.
func (t *Topic) Close(ctx context.Context) error {
	if !t.closing.CompareAndSwap(false, true) {
		return nil
	}
	t.end()
	t.handle.Close()
	err := errors.Join(t.batcher.Close(ctx), t.driver.Close(ctx))
	return t.annotate(err, "pubsub.Topic.Close")
}

func (t *Topic) annotate(err error, op string) error {
	return handle.Annotate(err, op, t.handle.Provider, t.object, "")
}
