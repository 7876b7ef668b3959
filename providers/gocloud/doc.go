// Package gocloud bridges the drivers of gocloud.dev: pubsub as pub/sub,
// docstore as kv, runtimevar as config.
//
//	gocloud+mem://            mempubsub and memdocstore, private to the Open
//	gocloud+mem://NAME        the same, shared by all Opens of that name in this process
//	gocloud+file:///etc/app   filevar: the settings NAME are in /etc/app/NAME.json
//	gocloud+constant://       constantvar: settings in the URL, for tests
//	gocloud+SCHEME://?…       any driver that the program links: see "Other drivers"
//
// The package links the drivers above and no other, and so no client of a
// cloud. RabbitMQ has a driver of its own, rabbit, in the module
// fairlead.dev/cmd/fairlead-gocloud, whose plugin links the clouds as well.
// To bring another driver with all it can do, see [Register].
//
// The other way, a provider of Fairlead for programs that are written for
// gocloud.dev, is package portable.
//
// # What gocloud.dev does not have
//
// Its interfaces are the least that all its drivers can do, and they say
// little of what they do. What is missing is either made here, of parts that
// can carry it, or not claimed; the description gives the reason for each.
//
//   - Groups are shared by the consumers of one Open: gocloud.dev fetches
//     ahead, and a consumer of its own would hold what others ask for. What
//     was fetched is given back when nobody has asked for half a second and
//     nothing is leased. Until then a consumer in another process may wait.
//   - Leases are kept here, since gocloud.dev has none: a message whose lease
//     ends, and one that is given back, comes again from here to any consumer
//     of this Open, and from the backend to others, at the latest when this
//     process ends. With the drivers mem and rabbit, whose backends give back
//     nothing by themselves, a lease can be extended, and a message can stay
//     away for a time. With others the backend's own deadline ends a lease
//     that is longer: such a subscription is refused. The shortest lease is two
//     seconds, since gocloud.dev fetches in spurts.
//   - Settling twice makes gocloud.dev panic, and so does giving back with a
//     driver that cannot. Neither is asked of it. Other panics of the library
//     in a call are errors with the code Internal; those of its own
//     goroutines cannot be caught.
//   - An acknowledgement is sent in the background and has no answer:
//     ConfirmedAck is not claimed. When one fails, gocloud.dev ends the
//     subscription; it is opened again, and what was not acknowledged comes
//     again.
//   - If messages arrive just as a subscription is shut down, a goroutine of
//     gocloud.dev stays behind for good.
//   - Order is not promised and not claimed; mempubsub shuffles.
//   - An error of a batch is the error of every message in it. All are of
//     UnknownOutcome then. gocloud.dev repeats a batch by itself where its
//     driver calls an error retryable: a message may be stored twice.
//   - Ids, empty values and unusual names of metadata are not known to every
//     backend: they travel in metadata that begins with "fairlead-", which
//     other programs see. Messages of other programs are received; they have a
//     new id with every process that receives them.
//
// # kv
//
// An entry is a document with the fields key, value and deleted, and the
// revision of docstore. Conditional writes are docstore's Create and Replace.
// A conditional Delete succeeds with some drivers for a document that does not
// exist; it is made of a Replace, which marks the document, and a Delete. A
// process that dies in between leaves a marked document, which counts as
// deleted. Transactions are not claimed: AtomicWrites takes no conditions on
// other documents, and with memdocstore a Create that fails leaves the writes
// before it. There are no times to live and no watch. Listings are claimed for
// mem and mongo; other drivers keep keys in hexadecimal digits.
//
// # config
//
// A variable holds all settings of a name, in JSON, YAML or TOML (the format
// parameter), or is one setting called "value" (format=text). They are of one
// moment. Names of nested settings are joined by dots; what is not a string is
// JSON. A variable that does not exist has no settings. One that cannot be
// read, and content that cannot be parsed, are errors, until it can again; who
// watches with package config keeps the last good settings.
//
// filevar follows writes, renames and swapped links; write a file by renaming
// another one over it, or a reader may see half of it. A file that is missing
// is looked for every second.
//
// # mem
//
// Everything is lost when the process ends. A message published to a topic
// without groups is dropped, which mempubsub tells the standard logger.
// mempubsub cannot forget a subscription: a group that was deleted, and a
// broadcast that has ended, cost memory for every message until their topic is
// deleted or the last provider of the name is closed. A new message may take a
// quarter of a second to arrive: mempubsub polls. Times to live of messages
// and limits of queues do not exist.
//
// # Other drivers
//
// Drivers that are linked, as by
//
//	import _ "gocloud.dev/pubsub/gcppubsub"
//
// are opened by templates of their URLs, escaped as parameters are:
//
//	gocloud+gcppubsub://?topic=gcppubsub://projects/P/topics/{topic}
//	    &subscription=gcppubsub://projects/P/subscriptions/{topic}.{group}
//	gocloud+awssns://?topic=awssns:///arn:aws:sns:REGION:ACCOUNT:{topic}%3Fregion=REGION
//	    &subscription=awssqs://sqs.REGION.amazonaws.com/ACCOUNT/{topic}-{group}%3Fregion=REGION
//	gocloud+kafka://?topic=kafka://{topic}&subscription=kafka://{group}%3Ftopic={topic}
//	gocloud+mongo://?collection=mongo://DATABASE/{store}%3Fid_field=key
//	gocloud+etcd://?variable=etcd://{name}%3Fdecoder=bytes
//
// Topics, subscriptions and collections have to exist: gocloud.dev cannot make
// them. Whether they do is known when they are used. Set ack-deadline to what
// the backend's own deadline is set to, if that is not its default, or not
// known here; no longer lease is accepted.
//
// [fairlead.As] reaches nothing: what gocloud.dev opens is opened and closed as
// need be.
//
// Untested against their backends, because none runs where this project's
// tests do: awssns, awssqs, gcppubsub, azuresb, kafka, dynamodb, firestore,
// mongo, and the variables of AWS, GCP, etcd, HTTP and blobs. What is said of
// them here is what their documentation says. DynamoDB takes documents of at
// most 400 KB: larger values, which every other provider takes, are refused by
// it. The driver nats is refused: it is core NATS, at most once.
package gocloud
