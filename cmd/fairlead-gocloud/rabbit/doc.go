// Package rabbit lets package gocloud of Fairlead use RabbitMQ, through
// rabbitpubsub of gocloud.dev:
//
//	import _ "fairlead.dev/cmd/fairlead-gocloud/rabbit"
//
//	gocloud+rabbit://user:password@host:5672/vhost
//	gocloud+rabbits://…   over TLS
//
// A topic is a durable exchange of the type fanout, a group a durable queue
// that is bound to it, a broadcast an exclusive queue. They are made when they
// are opened. Their names are "fairlead/TOPIC" and "fairlead/TOPIC/GROUP" (with
// a hash in the group's place if that is longer than AMQP allows); the
// parameter prefix sets another beginning.
//
// # What is made sound
//
//   - rabbitpubsub publishes messages that a queue forgets when the broker is
//     restarted. They are made persistent here.
//   - rabbitpubsub fails to publish to an exchange without queues. A topic
//     without groups is none of the publisher's errors: it is taken for
//     success.
//   - rabbitpubsub acknowledges by the number of a delivery on whatever channel
//     is open: when the channel was replaced in between, that is another
//     message, which then never comes again, dealt with or not. Here a message
//     is acknowledged on the channel by which it came, and the error is told:
//     its lease was lost.
//   - A connection that is lost ends a topic and a subscription of
//     gocloud.dev. They are opened again.
//   - A broker that is killed a moment after it has confirmed the binding of a
//     queue may come back without it (seen with 3.10 on a busy machine).
//     Whoever publishes next, or consumes, in the process that has opened the
//     group binds the queue again, and nothing is lost. In another process the
//     publisher cannot know: what it publishes before the group's consumer is
//     back is taken for a message to nobody.
//
// # What is not
//
// An acknowledgement has no answer in AMQP: one that is lost with its
// connection makes the message come again. A broadcast ends with its
// connection; its consumer is told of the gap. Order is not claimed:
// messages sent at once are stored in any order, and a message that comes
// again comes behind.
//
// The broker ends a channel on which a message was not acknowledged for its
// consumer_timeout, 30 minutes unless configured otherwise: leases, extended or
// not, and delays end then at the latest. The prefetch parameter bounds what a
// group of this process may have in hand, leased, delayed and fetched ahead
// together: with that many unsettled messages nothing more comes.
//
// Durability is the operator's to assert (the durable parameter): a publication
// is confirmed when the broker has stored the message in all queues. What that
// means on its disk, and for mirrored or quorum queues, no client can ask.
// Topics and groups cannot be listed or deleted over AMQP; use rabbitmqctl.
//
// # As
//
// None: the provider keeps connections of its own, which come and go.
package rabbit
