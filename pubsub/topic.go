package pubsub

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/internal/handle"
	"fairlead.dev/internal/telemetry"
	"fairlead.dev/pubsub/driver"
)

const scope = "fairlead.dev/pubsub"

// Message is what is published.
type Message struct {
	// ID names the message; empty for a name given by the backend. Where
	// [Dedupe] is claimed, an id is stored once within the provider's window.
	ID string
	// Key is the ordering key: messages with the same one are delivered in
	// order, one at a time. It needs the claim [OrderedByKey].
	Key      string
	Body     []byte
	Metadata map[string]string
}

// Receipt says how a message was stored.
type Receipt struct {
	ID       string // as receivers see it
	Position string // its place in the topic; opaque; empty if the backend has none
	// Duplicate: a message with this ID was stored before; this one was not.
	Duplicate bool
}

// Topic publishes to one topic of a provider.
type Topic struct {
	handle  *handle.Handle
	driver  driver.Topic
	group   *batcher.Batcher[driver.Message, driver.SendResult]
	send    *telemetry.Operation
	sent    counter
	life    context.Context // ends with Close
	end     context.CancelFunc
	closing atomic.Bool
}

// Open returns a handle for publishing to the topic of that name, and creates
// the topic if need be. A name has 1 to 128 of the characters A–Z a–z 0–9 . _ -
// and starts with a letter or digit.
//
// Of the options it takes Require alone. Errors: Unsupported if the provider
// has no pubsub facet, or if a requirement is not met; it names all that are
// missing, with the reasons.
func Open(ctx context.Context, p fairlead.Provider, name string, opts ...TopicOption) (*Topic, error) {
	t, err := open(ctx, p, name, opts)
	return t, fairlead.Annotate(err, "pubsub.Open", "")
}

func open(ctx context.Context, p fairlead.Provider, name string, opts []TopicOption) (*Topic, error) {
	var o topicOptions
	for _, opt := range opts {
		if err := opt.topic(&o); err != nil {
			return nil, err
		}
	}
	if err := handle.CheckName("topic", name); err != nil {
		return nil, err
	}
	h, err := handle.Open(ctx, p, fairlead.PubSub, o.require)
	if err != nil {
		return nil, err
	}
	d, err := openDriver(ctx, p, name)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	attrs := attributes(h, name)
	telemetry := newTelemetry(h)
	t := &Topic{
		handle: h,
		driver: d,
		group:  batcher.New(h.Facet.Limits, driver.Message.Size, d.Send),
		send:   operation(telemetry, "pubsub.Publish", "send", name, trace.SpanKindProducer, attrs),
		sent:   newCounter("messaging.client.sent.messages", "Messages that were stored.", attrs),
	}
	t.life, t.end = context.WithCancel(context.Background())
	return t, nil
}

func openDriver(ctx context.Context, p fairlead.Provider, name string) (driver.Topic, error) {
	dp, err := provider(p)
	if err != nil {
		return nil, err
	}
	return dp.OpenTopic(ctx, driver.TopicConfig{Name: name})
}

func provider(p fairlead.Provider) (driver.Provider, error) {
	dp, ok := p.(driver.Provider)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Internal, "the provider describes the pubsub facet and does not implement it")
	}
	return dp, nil
}

func attributes(h *handle.Handle, topic string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", h.System),
		attribute.String("messaging.destination.name", topic),
	}
}

func newTelemetry(h *handle.Handle) *telemetry.Telemetry {
	return telemetry.New(scope, "messaging.client.operation.duration", h.Provider)
}

// operation prebuilds an operation by the messaging conventions: the span is
// named "send orders".
func operation(t *telemetry.Telemetry, op, kind, topic string, span trace.SpanKind, attrs []attribute.KeyValue) *telemetry.Operation {
	attrs = append(slices.Clone(attrs),
		attribute.String("messaging.operation.name", kind),
		attribute.String("messaging.operation.type", kind))
	return t.Operation(op, kind+" "+topic, span, attrs...)
}

// counter is a metric with its attributes prebuilt.
type counter struct {
	metric.Int64Counter
	opts []metric.AddOption
}

func newCounter(name, description string, attrs []attribute.KeyValue) counter {
	c, err := otel.Meter(scope).Int64Counter(name, metric.WithUnit("{message}"), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	return counter{c, []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}}
}

func (c counter) add(ctx context.Context, n int) {
	if n > 0 {
		c.Add(ctx, int64(n), c.opts...)
	}
}

// Describe returns what holds for this topic, as found when it was opened.
func (t *Topic) Describe() fairlead.FacetDescription { return describe(t.handle) }

func describe(h *handle.Handle) fairlead.FacetDescription {
	d := h.Facet
	d.Claims, d.Missing = slices.Clone(d.Claims), slices.Clone(d.Missing)
	return d
}

// Publish stores one message, and returns when it is stored.
func (t *Topic) Publish(ctx context.Context, m Message) (Receipt, error) {
	ctx, call := t.send.Start(ctx)
	r, err := t.publish(ctx, m)
	if err == nil && !r.Duplicate {
		t.sent.add(ctx, 1)
	}
	return r, call.End(err)
}

func (t *Topic) publish(ctx context.Context, m Message) (Receipt, error) {
	dm, err := t.prepare(ctx, m)
	if err != nil {
		return Receipt{}, err
	}
	r, err := t.group.Do(ctx, dm)
	if err == nil {
		err = r.Err
	}
	return receipt(r), err
}

func receipt(r driver.SendResult) Receipt {
	return Receipt{ID: r.ID, Position: r.Position, Duplicate: r.Duplicate}
}

// PublishMany stores messages, independently of each other. The receipts and
// the errors are in the order of msgs, with one of each for every message; the
// last result is nil if all were stored, and else says how many were not, and
// is the first of their errors. Where [Ordered] is claimed, the messages that
// are stored are in the order of msgs.
func (t *Topic) PublishMany(ctx context.Context, msgs ...Message) ([]Receipt, []error, error) {
	ctx, call := t.send.Start(ctx)
	receipts, errs := t.publishMany(ctx, msgs)
	t.sent.add(ctx, stored(receipts, errs))
	for i, err := range errs {
		errs[i] = fairlead.Annotate(err, "pubsub.PublishMany", t.handle.Provider)
	}
	return receipts, errs, call.End(summary(errs))
}

func stored(receipts []Receipt, errs []error) int {
	n := 0
	for i, err := range errs {
		if err == nil && !receipts[i].Duplicate {
			n++
		}
	}
	return n
}

func summary(errs []error) error {
	failed := 0
	var first error
	for _, err := range errs {
		if err != nil {
			failed++
			first = cmpOr(first, err)
		}
	}
	if failed == 0 {
		return nil
	}
	return fairlead.Errorf(fairlead.CodeOf(first), "%d of %d messages were not stored; the first: %w", failed, len(errs), first)
}

func cmpOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (t *Topic) publishMany(ctx context.Context, msgs []Message) ([]Receipt, []error) {
	receipts, errs := make([]Receipt, len(msgs)), make([]error, len(msgs))
	var batch []driver.Message
	var places []int
	for i, m := range msgs {
		dm, err := t.prepare(ctx, m)
		if err != nil {
			errs[i] = err
			continue
		}
		batch, places = append(batch, dm), append(places, i)
	}
	results, err := t.group.DoMany(ctx, batch)
	for j, i := range places {
		if errs[i] = err; err == nil {
			receipts[i], errs[i] = receipt(results[j]), results[j].Err
		}
	}
	return receipts, errs
}

// PublishAtomic stores all messages or none. It needs the claim [AtomicBatch].
// More messages than the provider's MaxBatch are TooLarge.
func (t *Topic) PublishAtomic(ctx context.Context, msgs ...Message) ([]Receipt, error) {
	ctx, call := t.send.Start(ctx)
	receipts, err := t.publishAtomic(ctx, msgs)
	if err == nil {
		t.sent.add(ctx, stored(receipts, make([]error, len(receipts))))
	}
	return receipts, call.End(err)
}

func (t *Topic) publishAtomic(ctx context.Context, msgs []Message) ([]Receipt, error) {
	if err := t.handle.Needs(AtomicBatch); err != nil {
		return nil, err
	}
	if limit := t.handle.Facet.Limits.MaxBatch; len(msgs) > limit {
		return nil, fairlead.Errorf(fairlead.TooLarge, "the batch has %d messages, the limit is %d", len(msgs), limit)
	}
	batch := make([]driver.Message, len(msgs))
	for i, m := range msgs {
		var err error
		if batch[i], err = t.prepare(ctx, m); err != nil {
			return nil, err
		}
	}
	results, err := t.group.DoTogether(ctx, batch)
	if err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(results))
	for i, r := range results {
		if r.Err != nil {
			return nil, r.Err
		}
		receipts[i] = receipt(r)
	}
	return receipts, nil
}

// prepare validates a message and adds the trace context of the caller.
func (t *Topic) prepare(ctx context.Context, m Message) (driver.Message, error) {
	if t.life.Err() != nil {
		return driver.Message{}, fairlead.Errorf(fairlead.Closed, "the topic is closed")
	}
	if err := t.handle.Ready(); err != nil {
		return driver.Message{}, err
	}
	if m.Key != "" {
		if err := t.handle.Needs(OrderedByKey); err != nil {
			return driver.Message{}, err
		}
	}
	d := driver.Message{ID: m.ID, Key: m.Key, Body: m.Body, Metadata: inject(ctx, m.Metadata)}
	d.Deadline, _ = ctx.Deadline()
	return d, checkMessage(d, t.handle.Facet.Limits.MaxMessageBytes)
}

func checkMessage(m driver.Message, limit int) error {
	if !utf8.ValidString(m.ID) || !utf8.ValidString(m.Key) {
		return fairlead.Errorf(fairlead.Invalid, "the ID or Key of the message is not valid UTF-8; encode other bytes, as with base64")
	}
	for name, value := range m.Metadata {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fairlead.Errorf(fairlead.Invalid, "the metadata %q has an empty name, or is not valid UTF-8; put other bytes into the body", name)
		}
	}
	if size := m.Size(); size > limit {
		return fairlead.Errorf(fairlead.TooLarge, "the message has %d bytes with its id, key and metadata, the limit is %d", size, limit)
	}
	return nil
}

// Close waits for publications under way until the context ends, and releases
// the handle. Calls after the first return nil.
func (t *Topic) Close(ctx context.Context) error {
	if !t.closing.CompareAndSwap(false, true) {
		return nil
	}
	t.end()
	t.handle.Close()
	err := errors.Join(t.group.Close(ctx), t.driver.Close(ctx))
	return fairlead.Annotate(err, "pubsub.Topic.Close", t.handle.Provider)
}
