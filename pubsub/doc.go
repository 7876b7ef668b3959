// Package pubsub publishes and receives messages over any provider.
//
//	orders, err := pubsub.Open(ctx, p, "orders", pubsub.Require(fairlead.DurableFsync))
//	receipt, err := orders.Publish(ctx, pubsub.Message{Body: body})
//
//	billing, err := pubsub.Subscribe(ctx, p, "orders", pubsub.Group("billing"))
//	err = billing.Handle(ctx, func(ctx context.Context, d *pubsub.Delivery) error {
//		return bill(ctx, d.Body)
//	}, pubsub.Concurrency(8))
//
// # What every provider guarantees
//
// Publish returns when the message is stored, with the durability that the
// provider claims. A group gets every message that is published after the group
// exists, at least once: until one of its consumers acknowledges it. A delivery
// is leased for the subscription's [AckDeadline]. When the lease ends, or when
// the consumer gives the message back or is closed, the message is delivered
// again, to any consumer of the group. A message may therefore be delivered
// twice: make handlers idempotent, or compare ids.
//
// Bodies are bytes. Metadata names and values are UTF-8 text. Both arrive as
// they were sent. A message has an id: the publisher's, or one that the backend
// gives it.
//
// Everything else is a claim (see the constants), which [Require] demands. A
// call that requires a claim that does not hold fails with ErrUnsupported and
// sends nothing. Order, in particular, is a claim: [Ordered] holds for one
// consumer as long as no message is redelivered; [OrderedByKey] holds through
// redelivery for messages with the same Key.
//
// # Restarts and gaps
//
// A subscription survives a restart of its backend. Meanwhile Receive fails
// with ErrUnavailable; Handle retries. If messages of the subscription are
// gone, Receive fails once with ErrGap, and then resumes after the gap.
//
// # Errors
//
// Every error is a [*fairlead.Error]. Publish fails with ErrUnknownOutcome if
// the message was sent and no answer came: the message may be stored. With any
// other code it is not stored. A settlement fails with ErrLeaseLost if the
// message now belongs to another consumer, or if the delivery was settled
// before.
//
// # Trace context
//
// If the context of Publish has a span, the message carries the span's W3C
// trace context in its metadata (traceparent, tracestate); the span of a handler
// is a child of it.
//
// # Concurrency
//
// All methods may be called concurrently. Where the backend gains from it, the
// publications and settlements of concurrent callers share a call to the
// backend. Slices and maps that are passed in must not be changed until the call
// returns (after ErrUnknownOutcome: not at all), and are not kept; the slice and
// the map of a [Delivery] belong to the receiver.
package pubsub
