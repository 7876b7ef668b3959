// Package dapr offers what a Dapr sidecar (runtime 1.18) offers, and claims only
// what its components were observed to guarantee: the kv facet on a state
// component, the pubsub facet on pubsub components, the rpc facet on service
// invocation, the config facet on a configuration component.
//
//	dapr://127.0.0.1:50001                     the sidecar's gRPC port
//	dapr://:API-TOKEN@127.0.0.1:50001          a sidecar that requires a token
//	dapr://127.0.0.1:50001?state=orders        one of several state components
//	daprs://dapr.example.org?ca-file=ca.pem    a proxy that speaks TLS
//
// [providers.Schemes] lists the settings. [fairlead.As] knows
// *grpc.ClientConn, the connection to the sidecar, and runtimev1.DaprClient of
// github.com/dapr/dapr/pkg/proto/runtime/v1.
//
// docs/providers/dapr.md shows how to configure the components.
// docs/performance.md says what a sidecar costs.
//
// # The sidecar
//
// A sidecar may start after its program: Open waits for startup-timeout. It may
// restart at any time: calls meanwhile fail with Unavailable, or UnknownOutcome,
// and work again within about a second after its return. A sidecar that freezes is
// noticed after 12 seconds by calls without a deadline; other requests have
// request-timeout.
//
// A component that the URL does not name is used if it is the only one of its
// kind. The facet is left out if there is none, or if the name is "-". The
// sidecar is asked for its components when the provider opens, and every
// probe-interval. The state component is checked when the provider opens and when
// it has a new connection, on a key of its own that is removed afterwards. A
// component that fails the check is not used, and Notes say why.
//
// Dapr's API hides what the component's backend does: it does not report whether
// the backend calls fsync or has replicas. So no durability is claimed.
// assert-durable=true relies on the operator's word for the state component, for
// example for state.redis on a Redis with appendonly yes and appendfsync always.
//
// Resiliency policies of the sidecar that repeat calls of components do not harm
// the kv facet, see below.
//
// # Key-value
//
// Dapr's state API guarantees less than it seems to. The following was observed
// on state.redis of components-contrib 1.18.3; state.in-memory keeps its
// guarantees.
//
//   - A write with the etag of a key that was deleted meanwhile succeeds.
//   - The etag starts from 1 again after a delete: an old etag matches again.
//   - A write without an etag, but with first-write concurrency, overwrites a key
//     that was last written without it.
//   - A write without a time to live keeps the old one. A new time to live is set
//     by a command of its own, which may be lost.
//   - When the connection to Redis breaks, the component's client sends a write
//     again. It then finds its own first attempt, and reports that the etag does
//     not match. It reports the same for any network error.
//   - A transaction is not rolled back: the operations before the one that fails
//     stay applied, although the component calls itself transactional.
//   - WAIT for replicas is sent, but its answer is not read.
//
// Therefore the provider deletes no key and trusts no error. Every key holds a
// record: a flag for deleted keys, the end of the time to live, the number of
// writes, the ids of the last 32 writes, and the value. Every write reads the
// record and replaces it with first-write concurrency and the etag that was read.
// If another writer was faster, it repeats both: two round trips, more under
// contention (writers of one program queue for a key). After any error the record
// is read once more. If the id of the write is among the last 32, the write was
// made. If all ids since the record that it was based on belong to other writes,
// it was not made and cannot be made any more, since the etag has changed.
// Otherwise the outcome is unknown. So CAS is claimed for every component that
// passes this check: bytes come back unchanged; a write with first-write
// concurrency and no etag overwrites no key; of eight writers with one etag one
// writes.
//
// The records have a cost. A value that was written often takes 275 bytes more. A
// deleted key leaves its record, without the value, permanently. Other programs
// that read the values have to skip the start of the record. They must not write
// the keys: the component cannot prevent that, and state.redis deletes a key that
// it does not understand. Keys are {prefix}/kv/{store}/{key}, with "|", "%" and
// control characters as %XX, after the component's keyPrefix: by default the
// app's id, so that apps do not share stores. A ttlInSeconds in the component's
// own metadata makes it drop records: do not set one.
//
// The time to live is part of the record, by the clock of the writer. A reader
// considers a key expired when, by its own clock, that time and clock-skew have
// passed. The clocks of programs that share a store must not differ by more than
// clock-skew.
//
// Reads request strong consistency. LinearizableRead is claimed for state.redis
// and state.in-memory, where one server answers. It is not known for other
// components.
//
// The state API has no lists, no watch and no transactions that are atomic on
// every component: List, Watch, Txn and Manage are not claimed, and package config
// cannot read from such a store.
//
// A request may have max-body-bytes, which must not exceed the sidecar's
// --max-body-size. A value may have about 3 KiB less.
//
// # Pub/sub
//
// The facet is offered only on pubsub.redis together with a state.redis. A topic
// is the topic of the component, and a message is a CloudEvent, so other programs
// that use Dapr can publish to Fairlead's topics and subscribe to them. The body
// is data_base64 (application/octet-stream). Id and metadata are a query string
// in the attribute fairlead, since the runtime drops the metadata of a
// publication before it reaches a streaming subscription. Events of other programs
// have their attributes as ce-NAME, and content-type, in the metadata.
//
// Groups. In Dapr a group is the consumerID of a component, by default the app's
// id. So a topic has one group for the component in "pubsub" and one more for each
// in "group-pubsubs": components on the same Redis, each with its own consumerID.
// The state component stores which group has which component
// ({prefix}/pubsub/{topic}). An assignment never changes, and belongs to the app,
// as all of its state does by default: groups of the same name in two apps are two
// groups, and each gets every message. One group too many is Invalid. When the
// provider opens, at most once a day, it checks that the components do not share
// a consumerID, on a topic fairlead~trial~… that is not removed.
//
// The following was observed of pubsub.redis 1.18.3 with runtime 1.18.1. Each item
// says what the provider does about it:
//
//   - RETRY, and any other failure of a delivery, is an acknowledgement: the
//     message is lost. So the provider never sends RETRY. It keeps a message that
//     was given back, or whose lease has ended, and delivers it again itself.
//   - The runtime delivers before the stream that it delivers to is ready, and
//     treats the failure as an acknowledgement. So every subscription names a dead
//     letter topic, {topic}~{group}, which such messages move to, and subscribes to
//     that as well.
//   - After processingTimeout the component delivers a message again, continues to
//     wait for the first answer, and never gets back the worker that waits. So after
//     half of processing-timeout, which must equal the component's (its default is
//     60 s), a pending message is copied to {topic}~{group} and acknowledged. The
//     copy takes its place.
//   - The runtime mixes up two answers for one id. So each copy has an id of its
//     own.
//   - A new group begins with the oldest message. So the time at which the group
//     begins is stored, and messages whose publication time is earlier are skipped.
//     Subscribe waits for clock-skew when it creates a group. A publisher whose
//     clock is slow by more than that loses what it publishes in that time.
//   - Any of the component's workers ("concurrency", 10 by default) passes a message
//     on. So there is no order, and at most as many messages as workers can be
//     unacknowledged at once, over all topics of the component. Set it, and
//     queueDepth, to the most that consumers hold; a consumer that holds all of them
//     stalls the component.
//   - Each subscription of a group takes two connections of the component's pool for
//     waiting: poolSize must be at least twice the number of groups, plus some.
//   - The reader of the component gives up after readTimeout, and continues for that
//     time after its subscription has ended: messages that Redis gives it then come
//     only after processingTimeout. So do messages that a killed consumer or sidecar
//     held.
//   - redeliverInterval and processingTimeout are numbers of milliseconds; other
//     values are ignored. If either is 0, messages that a killed sidecar held are
//     lost.
//   - The component's client sends a publication again when no answer came
//     (redisMaxRetries): the message may be stored twice. A consumer's provider
//     skips messages that it has received within twice the processing-timeout, up to
//     8192 messages for each group. Consumers elsewhere do not know of them.
//   - The end of one subscription makes all others of the sidecar wait, for up to 30
//     seconds. So the provider ends a subscription only when it holds no message of
//     it, and keeps one for a second after its last handle was closed.
//   - A bulk publication has no order and, when it fails, does not report which of
//     its messages were stored: all of them are UnknownOutcome then.
//
// Between consumers on one provider, leases are exact. A consumer of another Open
// of the same URL may get a message that is held for longer than half of
// processing-timeout, and gets what a consumer held at its end later, so Shared is
// not claimed; the group shares its messages all the same. Broadcast, order, keys,
// positions, confirmed acknowledgements, delays, extended leases and counts are not
// available: handlers must finish within AckDeadline, and dead letters of package
// pubsub need a count.
//
// pubsub.in-memory gives every subscription each message, makes publishers wait
// for the answers, and drops messages that are not answered: the facet is not
// offered on it. The behaviour of other components is not known.
//
// # Remote procedure calls
//
// The facet is offered if the sidecar has an app's port (--app-port and
// --app-protocol grpc), or if the URL names an app. A server listens on that port
// of 127.0.0.1. The first Listen opens the port for all providers of the process,
// until they close. The name of a service is the id of its app; the setting
// "app" names one app for all services. Each call is one gRPC call, which the
// sidecars pass on. So ordinary gRPC clients reach Fairlead's servers with the
// header dapr-app-id, if the app has one service, and Fairlead's clients reach
// ordinary servers. Compressed and JSON messages travel as bytes that only
// Fairlead reads.
//
// The flow control of gRPC replaces the credits of the facet's contract on all
// three hops. Two things are repaired: the runtime drops a server's headers if no
// message follows, so they travel as trailers too; it repeats unary calls by its
// resiliency policies, so all calls are marked as streams (dapr-stream). One thing
// is not: headers come with the first message, however early they were sent.
//
// LoadBalance is not claimed: mdns chooses one sidecar for all calls.
// FastNoResponder is claimed if a call to an app that does not exist fails within
// 700 ms, which is measured on each new connection: sqlite takes a millisecond,
// mdns three seconds. A runtime that has lost the app first tries to connect again
// after a second, later after up to two minutes.
//
// A message may have max-body-bytes less 4 KiB: with the sidecar's default of 4 MiB
// that is less than the gRPC default of 4 MiB.
//
// # Configuration
//
// The settings of the name app are the keys of the component that start with
// app/. The API cannot write: write to the component's backend. It reads key by
// key, so a snapshot may mix two points in time, and it treats an empty value as a
// missing one. configuration.redis was observed as follows:
//
//   - To read all keys, it lists all keys of the database and reads each: give it a
//     database of its own. If a key or value in it is not UTF-8, reading fails. Of a
//     value a||b, b is the version.
//   - To report changes, it sets notify-keyspace-events of the server, in place of
//     the earlier value, and does not check the result. When that setting is changed,
//     or the connection breaks, it stops reporting without an error. It confirms a
//     subscription before it has subscribed.
//
// So a subscription is a hint to read, and Next also reads every config-poll. The
// subscription is made when a call first waits for a change.
package dapr
