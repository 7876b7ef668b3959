// Package rabbit lets package gocloud of Fairlead use RabbitMQ, through
// rabbitpubsub of gocloud.dev:
//
//	import _ "fairlead.dev/cmd/fairlead-gocloud/rabbit"
//
//	gocloud+rabbit://user:password@host:5672/vhost
//	gocloud+rabbits://…   over TLS
//
// A topic is a durable exchange of the type fanout. A group is a durable queue that
// is bound to it. A broadcast is an exclusive queue. Each is created when it is
// opened. The names are "fairlead/TOPIC" and "fairlead/TOPIC/GROUP" (with a hash in
// place of the group if the name is longer than AMQP allows); the setting prefix
// sets another first part.
//
// # What the driver repairs
//
//   - rabbitpubsub publishes messages that a queue loses when the broker is
//     restarted. The driver makes them persistent.
//   - rabbitpubsub fails to publish to an exchange without queues. A topic without
//     groups is not an error of the publisher: the driver returns success.
//   - rabbitpubsub acknowledges by the number of a delivery on the channel that is
//     open. If the channel was replaced meanwhile, that number is another message,
//     which is then never delivered again, processed or not. The driver acknowledges
//     on the channel that the message came by, and reports the error: the lease was
//     lost.
//   - A lost connection ends a topic and a subscription of gocloud.dev. The driver
//     opens them again.
//   - A broker that is killed just after it has confirmed the binding of a queue may
//     lose that binding (observed with 3.10 on a busy machine). In the process that
//     has opened the group, the next publisher or consumer binds the queue again,
//     and no message is lost. A publisher in another process cannot know: its
//     messages reach no queue until the group's consumer has returned.
//
// # What remains
//
// An acknowledgement has no answer in AMQP. If it is lost with its connection, the
// message is delivered again. A broadcast ends with its connection; its consumer
// gets an error for the gap. Order is not claimed: messages that are sent
// concurrently are stored in any order, and a message that is delivered again comes
// after later ones.
//
// The broker closes a channel on which a message was not acknowledged for
// consumer_timeout, 30 minutes by default: leases, extended or not, and delays end
// then at the latest. The prefetch setting bounds the unsettled messages of a
// group in this process: leased, delayed and fetched ahead together. At that number
// no more messages arrive.
//
// Durability is the operator's assertion (the durable setting): the broker
// confirms a publication when it has stored the message in all queues. No client can
// ask what that means on its disk, and for mirrored or quorum queues. AMQP cannot
// list or delete topics and groups; use rabbitmqctl.
//
// # As
//
// fairlead.As reaches nothing: the provider opens and closes connections as
// needed.
package rabbit
