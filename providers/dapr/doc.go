// Package dapr offers what a Dapr sidecar (runtime 1.18) offers, and claims what
// its components were seen to keep: the kv facet on a state component, the pubsub
// facet on pubsub components, the rpc facet on service invocation, the config
// facet on a configuration component.
//
//	dapr://127.0.0.1:50001                     the sidecar's gRPC port
//	dapr://:API-TOKEN@127.0.0.1:50001          a sidecar that demands a token
//	dapr://127.0.0.1:50001?state=orders        one of several state components
//	daprs://dapr.example.org?ca-file=ca.pem    behind a proxy that speaks TLS
//
// [providers.Schemes] lists the parameters. [fairlead.As] knows
// *grpc.ClientConn, the connection to the sidecar, and runtimev1.DaprClient of
// github.com/dapr/dapr/pkg/proto/runtime/v1.
//
// # The sidecar
//
// A sidecar may come up after its program: Open waits for startup-timeout. It
// may restart at any time: calls meanwhile fail with Unavailable, or
// UnknownOutcome, and work again within about a second of its return. One that
// freezes is noticed after 12 seconds by who waits without an end; calls have
// request-timeout.
//
// A component that the URL does not name is found if it is the only one of its
// kind; the facet is left out if there is none, or if the name is "-". The
// sidecar is asked for its components when the provider opens, and every
// probe-interval. The state component is tried, on a key of its own that is
// removed afterwards, when the provider opens and when it has a new connection;
// one that fails is not used, and Notes say why.
//
// What the component's backend does is hidden behind the API: whether it fsyncs,
// or has replicas, is not told. So no durability is claimed. assert-durable=true
// takes the operator's word for the state component, as for state.redis on a
// Redis with appendonly yes and appendfsync always.
//
// Resiliency policies of the sidecar that repeat calls of components do no harm
// to the kv facet, see below.
//
// # Key-value
//
// Dapr's state API promises less than it seems to. What follows was seen on
// state.redis of components-contrib 1.18.3; state.in-memory keeps its promises.
//
//   - A write with the etag of a key that was deleted meanwhile succeeds.
//   - The etag counts from 1 again after a delete: an old one fits again.
//   - A write without an etag, but with first-write concurrency, overwrites a key
//     that was last written without it.
//   - A write without a time to live keeps the old one; that of a new time to live
//     is a command of its own, and may be lost.
//   - When the connection to Redis breaks, the component's client sends a write
//     again. It finds its own first attempt, and what comes back is that the etag
//     does not match. So does any error of the network.
//   - A transaction is not rolled back: what comes before the operation that
//     fails, stays. The component calls itself transactional.
//   - WAIT for replicas is sent, and its answer not read.
//
// Therefore the provider deletes nothing and trusts no error. Every key holds a
// record: a flag for deleted keys, the end of the time to live, how often it was
// written, the names of the last 32 writes, and the value. Every write reads
// the record and replaces it with first-write concurrency and the etag that was
// read, and does so again if another writer was faster: two round trips, more
// under contention (writers of one program queue for a key). After any error the
// record is read once more. If the name of the write is among the last 32, it
// was made; if the names since the one it was based on are all of others, it was
// not, and cannot be any more, since the etag has moved on; otherwise the outcome
// is unknown. So CAS is claimed, on any component for which the following holds,
// which is tried: bytes come back as they were, a write with first-write
// concurrency and no etag overwrites no key, and of eight writers with one etag one
// writes.
//
// What it costs: 275 bytes with a value that was often written; a deleted key leaves its record, without
// the value, for good; other programs that want to read the values have to skip
// what comes before them, and must not write the keys (the component cannot
// prevent it, and state.redis deletes a key that it does not understand). Keys are
// {prefix}/kv/{store}/{key}, with "|", "%" and control characters as %XX, behind
// what the component's keyPrefix adds: by default the app's id, so that apps do
// not share stores. A ttlInSeconds in the component's own metadata makes it forget
// records: do not set one.
//
// Times to live are in the record, by the clock of the writer; a key is over for a
// reader when that moment and clock-skew have passed by its own clock. The clocks
// of programs that share a store must not differ by more than clock-skew.
//
// Reads ask for strong consistency. LinearizableRead is claimed for state.redis
// and state.in-memory, where one server answers; of others it is not known.
//
// The state API has no lists, no watch and no transactions that every component
// keeps whole: List, Watch, Txn and Manage are not claimed, and package config
// cannot read from such a store.
//
// What the sidecar costs: in turns with the redis provider on the same Redis
// (appendfsync always, 256 bytes, two busy cores), one caller had a sixth of the
// rate of Get, and a third to two thirds of that of Put; 64 callers a ninth and a
// sixth. In turns with Dapr's Go SDK on the same sidecar: 0.97 of its rate of Get
// with one caller, and 2.3 times it with 64, whose keys are read by one request;
// of Put, against reading and saving with the etag, 0.8 to 0.95 and 1.1 times;
// against a blind save, which is half the work and not safe, 0.6 and 0.75.
//
// Values may have max-body-bytes, which must not be more than the sidecar's
// --max-body-size, less 3 KiB.
//
// # Pub/sub
//
// The facet is offered on pubsub.redis, with a state.redis beside it, and nowhere
// else. A topic is the topic of the component, and a message a CloudEvent, so that
// other programs that use Dapr can publish to ours and subscribe to theirs. The
// body is data_base64 (application/octet-stream); id and metadata are a query
// string in the attribute fairlead, since the runtime drops the metadata of a
// publication on its way to a streaming subscription. Events of other programs
// have their attributes as ce-NAME, and content-type, in the metadata.
//
// Groups. In Dapr a group is the consumerID of a component, by default the app's
// id. So a topic has one group for the component in "pubsub" and one more for each
// in "group-pubsubs": components on the same Redis, each with a consumerID of its
// own. Which group has which component is kept in the state component
// ({prefix}/pubsub/{topic}), is never changed, and belongs to the app, as all of
// its state does by default: groups of the same name in two apps are two groups,
// and each gets every message. One group too many is Invalid. That the components
// do not share a consumerID is tried when the provider opens, at most once a day,
// on a topic fairlead~trial~… that stays behind.
//
// What was seen of pubsub.redis 1.18.3 behind runtime 1.18.1, and what is done
// about it:
//
//   - RETRY, and any other failure of a delivery, is an acknowledgement: the
//     message is lost. So RETRY is never sent: what is given back, or whose lease
//     has ended, is delivered again by the provider, which has it in hand.
//   - The runtime delivers before the stream it delivers to is ready, and takes the
//     failure for an acknowledgement. So every subscription names a dead letter
//     topic, {topic}~{group}, to which such messages move, and subscribes to that
//     as well.
//   - Past processingTimeout the component delivers once more, while it waits on for
//     the first answer, and never gets back the worker that does. So after half of
//     processing-timeout, which has to be what the component has (its default is
//     60 s), a message in hand is copied to {topic}~{group} and acknowledged; the
//     copy stands for it.
//   - Two answers for one id meet in the runtime. So each copy has an id of its own.
//   - A new group begins with the oldest message. So the group's beginning is kept,
//     and older messages are skipped, by the time at which they say that they were
//     published; Subscribe waits for clock-skew when it makes a group. A publisher
//     whose clock is behind by more loses what it publishes in that time.
//   - A message is handed on by any of the component's workers ("concurrency", 10 by
//     default): there is no order, and as many messages as workers can be in hand at
//     once, over all topics of the component. Set it, and queueDepth, to the most
//     that consumers hold; a consumer that holds all of them stalls the component.
//   - Each subscription of a group takes two connections of the component's pool for
//     waiting: poolSize has to be twice the groups and some.
//   - The reader of the component gives up after readTimeout, and for as long goes on
//     after its subscription has ended: what Redis hands it then comes only after
//     processingTimeout. Messages that a killed consumer or sidecar had in hand do,
//     too.
//   - redeliverInterval and processingTimeout are numbers of milliseconds; others
//     are ignored. With either at 0 what a killed sidecar had in hand is lost.
//   - The component's client sends a publication again when no answer came
//     (redisMaxRetries): the message may be stored twice. A consumer's provider
//     skips what it has seen within twice the processing-timeout, up to 8192
//     messages for each group; consumers elsewhere do not know.
//   - An end of one subscription makes all others of the sidecar wait, for up to 30
//     seconds. So the provider ends none before it has nothing in hand there, and
//     keeps one for a second after its last handle was closed.
//   - A bulk publication has no order, and does not tell which of its messages
//     failed: all of them are UnknownOutcome then.
//
// Between consumers on one provider, leases are exact. Of another Open of the same
// URL, a consumer may get what another one holds for longer than half of
// processing-timeout, and gets what it held at its end later, so that Shared is not
// claimed; the group shares its messages all the same. Broadcast, order, keys,
// positions, confirmed acknowledgements, delays, extended leases and counts are not
// to be had: handlers have to be done within AckDeadline, and dead letters of
// package pubsub need a count.
//
// pubsub.in-memory gives every subscription each message, makes publishers wait for
// the answers, and forgets what is not answered: the facet is not offered on it. Of
// other components it is not known what they do.
//
// # Remote procedure calls
//
// The facet is offered where the sidecar has an app's port (--app-port and
// --app-protocol grpc), or the URL names an app. A server listens on that port of
// 127.0.0.1; the first Listen binds it, until the provider closes, for all
// providers of the process. The name of a service is the id of its app, or "app"
// is, for all services of that app. Each call is one gRPC call, which the sidecars
// pass on. So ordinary clients of gRPC reach our servers with the header
// dapr-app-id, where the app has one service, and ours reach ordinary servers; what
// is compressed or JSON travels as bytes that only Fairlead reads.
//
// The flow control of gRPC stands for the credits of the facet's contract, over all
// three hops. What is repaired: the runtime drops a server's headers where no
// message follows, so they travel as trailers too; it repeats unary calls by its
// resiliency policies, so all are marked as streams (dapr-stream). What is not:
// headers come with the first message, however early they were sent.
//
// LoadBalance is not claimed: mdns takes one sidecar for all calls. FastNoResponder
// is if a call of an app that does not exist fails within 700 ms, which is tried
// when the provider has a connection: sqlite takes a millisecond, mdns three
// seconds. A runtime that has lost the app tries to connect again after a second at
// first, later after up to two minutes.
//
// A message may have max-body-bytes less 4 KiB: with the sidecar's default of 4 MiB
// that is less than the gRPC default of 4 MiB.
//
// # What a sidecar costs
//
// Measured side by side in turns, on two cores that daprd, Redis and the programs
// shared. Against the Go SDK (calls: against plain stubs) through the same sidecar:
// publishing 1.0 times as fast by one caller, 1.3 by 64, 0.8 to 1.0 in batches of
// 100 (whose bodies stay exact); 100 messages from their publication to their
// acknowledgement 1.25; unary calls 0.8 by one caller, 0.9 by 64, as a call is made
// of frames at both ends. Against the redis provider on the same Redis: publishing
// 0.5 to 1 by one caller, 0.3 by 64, 0.2 to 0.3 in batches; delivery 0.5.
//
// # Configuration
//
// The settings of the name app are the keys of the component that start with
// app/. The API cannot write: write to the component's backend. It reads key by
// key, so that a snapshot may mix two moments, and takes an empty value for none.
// configuration.redis, as seen:
//
//   - To read all keys, it lists all keys of the database, and reads each: give it
//     a database of its own. A key or value in it that is not UTF-8 makes reading
//     fail. Of a value a||b, b is the version.
//   - To tell of changes, it sets notify-keyspace-events of the server, in place of
//     what was set, and does not look whether it could. When somebody sets it
//     otherwise, or the connection breaks, it goes quiet without a word. It says
//     that it has subscribed before it has.
//
// So a subscription is a hint to look, and Next looks every config-poll besides.
// The subscription is made when somebody first waits for a change.
package dapr
