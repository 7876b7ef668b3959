// Package portable returns the portable types of gocloud.dev, backed by any provider
// of Fairlead, for programs that are written for gocloud.dev:
//
//	p, err := fairlead.Open(ctx, "redis://127.0.0.1:6379")
//	topic, err := portable.OpenTopic(ctx, p, "orders")                              // *pubsub.Topic
//	sub, err := portable.OpenSubscription(ctx, p, "orders", pubsub.Group("billing")) // *pubsub.Subscription
//	rate, err := portable.OpenVariable(ctx, p, "app", "limits.rate", runtimevar.StringDecoder)
//
// The program calls Shutdown or Close of everything that it opened before it closes
// the provider.
//
// # pubsub
//
// Send returns when the message is stored with the durability that the
// provider claims. Each message is sent by itself, so that each has an error of
// its own; package pubsub of Fairlead groups messages that are sent concurrently.
// No message is sent twice: an UnknownOutcome error is returned, and the program
// decides. Receive waits while the connection to the backend is lost.
//
// Every message can be given back with Nack, over every provider. An
// acknowledgement that fails because the lease was lost is dropped, as gocloud.dev
// requires of drivers: the message is delivered again. Other failed
// acknowledgements are repeated until the backend has them or the subscription is
// shut down. A message is leased for the AckDeadline of the subscription, also
// while it waits in the queue of gocloud.dev. As returns the Delivery, whose lease
// can be extended if the provider claims that.
//
// A gap (messages were lost) ends a subscription of gocloud.dev with an error,
// since gocloud.dev has no other way to report it. Open another subscription, which
// continues after the gap, or pass [OnGap].
//
// # runtimevar
//
// A variable is one key of the settings of a name, as in package config. A key that does not exist is NotFound.
//
// # Errors and As
//
// gcerrors.Code returns the nearest code, and ErrorAs sets a
// **fairlead.Error. Topic.As sets a **pubsub.Topic of Fairlead,
// Subscription.As a **pubsub.Subscription, Message.As a **pubsub.Delivery
// (with its id, key, attempt and position), Snapshot.As a *config.Value. In a
// message's BeforeSend, as sets a **pubsub.Message, whose ID and Key may be
// set; in AfterSend, a *pubsub.Receipt.
package portable
