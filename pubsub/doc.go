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
// # What holds everywhere
//
// Publish returns when the message is stored, with the durability that the
// provider claims. A group gets every message that is published after it
// exists, at least once: until one of its consumers acknowledges it. A
// delivery is leased for the subscription's [AckDeadline]; when the lease
// ends, or the consumer gives the message back or is closed, it comes again,
// to any consumer of the group. So a message may come twice: make handlers
// idempotent, or compare ids.
//
// Bodies are bytes, metadata names and values UTF-8 text; both arrive as they
// were sent. A message has an id: the publisher's, or the backend's position.
//
// Everything else is a claim (see the constants), which [Require] demands. A
// call that needs a claim which does not hold fails with ErrUnsupported and
// sends nothing. Order, in particular, is a claim: [Ordered] holds for one
// consumer as long as nothing comes again; [OrderedByKey] holds through
// redelivery for messages with the same Key.
//
// # Restarts and gaps
//
// A subscription survives a restart of its backend. Receive fails meanwhile
// with ErrUnavailable (Handle goes on by itself). If messages that it should
// have had are gone, it says so once, with ErrGap, and goes on behind the gap.
//
// # Errors
//
// Every error is a [*fairlead.Error]. A Publish fails with ErrUnknownOutcome
// if it was sent and no answer came: the message may be stored. With any other
// code it was not. A settlement fails with ErrLeaseLost if the message is
// somebody else's by now, or was settled before.
//
// # Trace context
//
// If the caller of Publish has a span, its W3C trace context rides in the
// metadata (traceparent, tracestate); the span of a handler is its child.
//
// # Concurrency
//
// All methods may be called concurrently. Publications and settlements of
// concurrent callers are sent together where the backend gains from it.
// Slices and maps that are passed in must not be changed until the call
// returns (after ErrUnknownOutcome: leave them alone), and are not kept; those
// of a [Delivery] belong to the receiver.
package pubsub
