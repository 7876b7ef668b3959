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
// [providers.Schemes] lists the parameters. [providers.As] knows
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
// written, the names of the last eight writes, and the value. Every write reads
// the record and replaces it with first-write concurrency and the etag that was
// read, and does so again if another writer was faster: two round trips, more
// under contention (writers of one program queue for a key). After any error the
// record is read once more. If the name of the write is among the last eight, it
// was made; if the names since the one it was based on are all of others, it was
// not, and cannot be any more, since the etag has moved on; otherwise the outcome
// is unknown. So CAS is claimed, on any component that the following holds for,
// which is tried: bytes come back as they were, first-write concurrency without an
// etag makes no existing key, and of eight writers with one etag one writes.
//
// What it costs: 147 bytes with a value; a deleted key leaves its record, without
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
// Values may have max-body-bytes, which must not be more than the sidecar's
// --max-body-size, less 3 KiB.
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
