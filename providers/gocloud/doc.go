// Package gocloud bridges the drivers of gocloud.dev: pubsub as pub/sub,
// docstore as kv, runtimevar as config.
//
//	gocloud+mem://            mempubsub and memdocstore, private to the Open
//	gocloud+mem://NAME        the same, shared by all Opens of that name in this process
//	gocloud+file:///etc/app   filevar: the settings NAME are in /etc/app/NAME.json
//	gocloud+constant://       constantvar: settings in the URL, for tests
//	gocloud+SCHEME://?…       any driver that the program links: see "Other drivers"
//
// The package links only the drivers above, and so no client of a cloud. RabbitMQ
// has a driver of its own, rabbit, in the module fairlead.dev/cmd/fairlead-gocloud,
// whose plugin also links the clouds. [Register] adds another driver with all that
// it can do.
//
// Package portable is the opposite direction: it lets programs that are written
// for gocloud.dev use a provider of Fairlead. docs/providers/gocloud.md has
// templates of URLs for the cloud drivers.
//
// # What gocloud.dev does not have
//
// The interfaces of gocloud.dev are the least that all its drivers can do, and
// they specify little. The bridge adds what it can add soundly, and does not claim
// the rest; the description gives the reason for each.
//
//   - The consumers of one Open share one subscription for each group:
//     gocloud.dev fetches ahead, and a subscription for each consumer would hold
//     messages that others wait for. Fetched messages are given back when no
//     Receive has waited for half a second and no message is leased. Until then a
//     consumer in another process may wait.
//   - The bridge has leases of its own, since gocloud.dev has none. When a lease
//     ends, or a message is given back, the bridge delivers it again to any
//     consumer of this Open. The backend delivers it to others, at the latest when
//     this process ends. With the drivers mem and rabbit, whose backends do not
//     deliver a message again by themselves, a lease can be extended, and a message
//     can be given back with a delay. With other drivers the backend's own deadline
//     would end a longer lease: such a subscription is refused. The shortest lease
//     is two seconds, since gocloud.dev fetches in bursts.
//   - gocloud.dev panics when a message is settled twice, or given back with a
//     driver that cannot do that. The bridge does neither. Other panics of the
//     library during a call are errors with the code Internal; panics of its own
//     goroutines cannot be caught.
//   - An acknowledgement is sent in the background and has no answer:
//     ConfirmedAck is not claimed. When one fails, gocloud.dev ends the
//     subscription. The bridge opens it again, and unacknowledged messages are
//     delivered again.
//   - If messages arrive just when a subscription is shut down, a goroutine of
//     gocloud.dev never ends.
//   - Order is not promised and not claimed; mempubsub shuffles.
//   - The error of a batch is the error of every message in it. All of them are
//     UnknownOutcome then. gocloud.dev repeats a batch by itself if its driver says
//     that an error is retryable: a message may be stored twice.
//   - Not every backend has ids, empty values and arbitrary names of metadata: they
//     travel in metadata that begins with "fairlead-", which other programs see.
//     Messages of other programs are received; each process that receives one gives
//     it a new id.
//
// # kv
//
// An entry is a document with the fields key, value and deleted, and the
// revision of docstore. Conditional writes are docstore's Create and Replace. With
// some drivers, a conditional Delete succeeds for a document that does not exist.
// So a conditional delete is a Replace, which marks the document, followed by a
// Delete. A process that dies in between leaves a marked document, which counts as
// deleted. Transactions are not claimed: AtomicWrites has no conditions on other
// documents, and with memdocstore a Create that fails leaves the writes before it.
// There are no times to live and no watch. Listings are claimed for mem and mongo;
// with other drivers, keys are stored in hexadecimal.
//
// # config
//
// A variable holds all settings of a name, in JSON, YAML or TOML (the format
// setting), or is one setting named "value" (format=text). A snapshot is one
// state of the variable. Names of nested settings are joined by dots; a value that
// is not a string is JSON. A variable that does not exist has no settings. A
// variable that cannot be read, or whose content cannot be parsed, is an error
// until that changes; a watcher of package config keeps the last good settings.
//
// filevar follows writes, renames and changed links. Write a file by renaming
// another one over it, or a reader may see half of it. A missing file is looked
// for every second.
//
// # mem
//
// All data is lost when the process ends. A message published to a topic without
// groups is dropped, which mempubsub reports to the standard logger. mempubsub
// cannot forget a subscription: a deleted group, and a broadcast that has ended,
// cost memory for every message until their topic is deleted or the last provider
// of the name is closed. A new message may take a quarter of a second to arrive:
// mempubsub polls. Times to live of messages and limits of queues do not exist.
//
// # Other drivers
//
// A driver that the program links, for example with
//
//	import _ "gocloud.dev/pubsub/gcppubsub"
//
// is opened with templates of its URLs, escaped as settings are:
//
//	gocloud+gcppubsub://?topic=gcppubsub://projects/P/topics/{topic}
//	    &subscription=gcppubsub://projects/P/subscriptions/{topic}.{group}
//
// Topics, subscriptions and collections have to exist: gocloud.dev cannot create
// them. A missing one is reported when it is used. Set ack-deadline to the
// backend's own deadline if that is not the default, or if the bridge does not
// know the driver; longer leases are refused.
//
// [fairlead.As] reaches nothing: the bridge opens and closes what gocloud.dev
// opens as needed.
//
// Not tested against their backends, because none of them runs where this
// project's tests do: awssns, awssqs, gcppubsub, azuresb, kafka, dynamodb,
// firestore, mongo, and the variables of AWS, GCP, etcd, HTTP and blobs. The
// statements about them here are taken from their documentation. DynamoDB accepts
// documents of at most 400 KB, and refuses larger values, which every other
// provider accepts. The driver nats is refused: core NATS delivers at most once.
package gocloud
