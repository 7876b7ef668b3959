// Package portable hands out the portable types of gocloud.dev, backed by any
// provider of Fairlead, for programs that are written for gocloud.dev:
//
//	p, err := fairlead.Open(ctx, "redis://127.0.0.1:6379")
//	topic, err := portable.OpenTopic(ctx, p, "orders")                              // *pubsub.Topic
//	sub, err := portable.OpenSubscription(ctx, p, "orders", pubsub.Group("billing")) // *pubsub.Subscription
//	rate, err := portable.OpenVariable(ctx, p, "app", "limits.rate", runtimevar.StringDecoder)
//
// What is opened is closed by its Shutdown or Close, before the provider is.
//
// # pubsub
//
// Send returns when the message is stored with the durability that the
// provider claims. Each message is sent on its own, so that each has an error
// of its own; package pubsub of Fairlead groups those that are sent at once.
// No message is sent twice: an error of UnknownOutcome is returned, and the
// program decides. A lost connection to the backend is waited for by Receive.
//
// Every message can be given back with Nack, whatever the provider. An
// acknowledgement that fails because the lease was lost is dropped, as
// gocloud.dev asks of drivers: the message comes again. Others are repeated
// until the backend has them or the subscription is shut down. A message is
// leased for the AckDeadline that the subscription was opened with, also while
// it waits in the queue that gocloud.dev keeps; As reaches the Delivery, which
// can be extended where that is claimed.
//
// A gap, messages that are gone, ends a subscription of gocloud.dev with an
// error, since it has no other way to tell: open another one, which goes on
// behind the gap, or give [OnGap].
//
// # runtimevar
//
// A variable is one key of the settings of a name, as package config keeps
// them. A key that does not exist is NotFound.
//
// # Errors and As
//
// gcerrors.Code gives the code that is nearest, and ErrorAs sets a
// **fairlead.Error. Topic.As sets a **pubsub.Topic of Fairlead,
// Subscription.As a **pubsub.Subscription, Message.As a **pubsub.Delivery
// (with its id, key, attempt and position), Snapshot.As a *config.Value. In a
// message's BeforeSend, as sets a **pubsub.Message, whose ID and Key may be
// set; in AfterSend, a *pubsub.Receipt.
package portable
