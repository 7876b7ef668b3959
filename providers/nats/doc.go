// Package nats offers the kv, pubsub and rpc facets on NATS 2.12 or newer with
// JetStream: on one server, and on a cluster. Without JetStream, rpc is left.
//
//	nats://127.0.0.1:4222                               one server
//	nats://app:secret@n1,n2,n3?replicas=3               a cluster, a user
//	nats://n1?creds-file=app.creds&ca-file=ca.pem       a JWT and its NKey, TLS
//
// Credentials are a user and password, a token (the URL's user alone, or
// token-env, token-file), the seed of an NKey (nkey-file), or a credentials file
// (creds-file): one of them. The parameter tls, and those of certificates,
// demand TLS; a server that demands it gets it anyway. [providers.Schemes] lists
// the parameters. [fairlead.As] knows *nats.Conn of github.com/nats-io/nats.go.
//
// The client keeps nothing to send later, and repeats nothing. A server that is
// silent is given up after 4 to 6 seconds, and the next one of the URL, or of
// those that the cluster names, is tried.
//
// # Durability
//
// JetStream acknowledges when it has written, and syncs later: every 2 minutes,
// unless sync_interval is always. Without that, acknowledged writes survive the
// kill of a server and not the loss of its power. A client is not told which it
// is. So DurableFsync is claimed only if the parameter monitor names the
// monitoring pages of the servers (of all that may hold data) and each says
// sync_always, now and at every probe-interval; or if the operator asserts it
// with assert-sync-always=true, which Notes say.
//
// The parameter replicas is how many servers hold each stream. With 1, a
// stream is on one server of the cluster, and away while that one is. With 3 or
// 5, a write is acknowledged by a majority, and DurableQuorum is claimed if the
// servers are known to sync always. A store that exists with another number of
// replicas is refused.
//
// Without sync always, a server that lost its power gives sequences again that
// it had given before: a revision may then stand for two states.
//
// # Key-value
//
// A store is a stream, {prefix}-kv-{store}, with = for each dot of the name. Its
// subjects begin with {prefix}.kv.{store} and a random part, which is new when
// the store is created again, so that a handle of the deleted one cannot write to
// it:
//
//	….k.KEY   the keys; the stream keeps the last message of each
//	….c.N     conditions of transactions, on keys that they do not write
//	….t       a record of times: see Watches
//
// A key is one token for each part that ends with a slash, and one that begins
// with = for the rest: a/b is a/.=b. Other bytes than letters, digits, _ and -
// are =XX. Listings and watches of a prefix are filtered by the server as far as
// the prefix's last slash. A deleted key is a message with KV-Operation: PURGE,
// as in NATS KV; nats-cli can read a store, but is not to write to it.
//
// With replicas, every read asks the leader of the stream, never a follower, and
// LinearizableRead is not claimed still: a leader that was replaced may answer
// until it notices. With one replica, the server that has it answers directly;
// do not give the stream of an open store more replicas by other means.
//
// Conditional writes depend on the sequence of the key's last message. A Create
// over a deleted key, and one that the server refuses, reads the key and tries
// again if the condition holds after all: nothing was applied before.
//
// A Txn is an atomic batch, at most 500 messages: a write each, and one for each
// condition on a key that is not written. The server takes 50 at a time for one
// stream; the others wait.
//
// Where the servers are known to sync always, eight and more writes without a
// condition that concurrent callers make share an atomic batch, and with it one
// sync.
//
// A write whose answer was lost is UnknownOutcome, and is not repeated.
//
// Times to live are whole seconds, rounded up, by the server's clock, and go on
// while it is down. A server that was started again removes what expired
// meanwhile a little late; reads do not show it.
//
// Listings ask for all subjects of the prefix, and sort them; the handle keeps
// them for half a minute for the next page, which asks anew if that has passed.
// The values of a page are read one by one. SnapshotList is not claimed.
//
// Watches merge changes: a watcher that is late gets the last state of each
// key. What was deleted, and what expired, is remembered for watch-history (1h;
// a store keeps that of who created it). A watcher goes on behind what it has
// read, within a second after the server is back, and fails with Compacted if
// the stream does not hold what came since: deleted keys that are forgotten, a
// store that was deleted, data that was lost. Whether a deleted key is forgotten
// is known by the time at which the stream was at that place: that of the
// message there, or of the last record of the store's time before it (16 in one
// watch-history, while some provider has the store open and writes to it).
//
// A Delete of a key that does not exist is seen by watchers as a delete.
//
// # Publish and subscribe
//
// A topic is a stream, {prefix}-ps-{topic}, with one subject for the messages
// without an ordering key, and one for each key, by its hash. A group is one of
// its durable pull consumers, g-{group}; a broadcast is a consumer of its own,
// which the server forgets 15 minutes after the last word from its process.
//
// The body is the payload. A message with an id or metadata has them before the
// body, as texts with their lengths, and their length in the header
// Fairlead-Meta. What another program publishes to the subject is delivered with
// its payload as the body.
//
// Publishing. The messages of one Send go out at once and are stored in their
// order. One whose answer was lost is UnknownOutcome, and is not repeated;
// publish a message with an id again, and it is stored once: the server
// remembers ids for dedupe-window, also over a restart. It is told them as they
// are, or the SHA-256 of those longer than about 200 bytes.
//
// Leases. The server gives a message to another consumer when it has not heard
// of it for 10 seconds; this provider tells it in time of the messages that are
// still leased, and gives back those whose lease has ended. So a lease may be of
// any length from 100 ms; the messages of a process that died come again after
// 10 seconds, whatever its AckDeadline, and those of one that cannot reach the
// server may do so while it still works on them. Nothing is fetched ahead.
//
// Acknowledgements are confirmed by the server. With one replica, it confirms
// first and writes a moment later: a server that is killed may deliver what was
// acknowledged just before, and ConfirmedAck is claimed with replicas alone. An
// acknowledgement after the lease is refused by the handle that had it, but
// JetStream itself knows no fences: FencedAck is not claimed.
//
// Ordering keys. JetStream can hold back all messages of a consumer, and not
// those of a key. So a group has a record of each key that it is dealing with,
// in a stream of its own, {prefix}-psk-{topic}, changed by compare-and-swap: up
// to where the key's messages are settled, and who was handed the next one. What
// the server hands out is only a reason to look at the record; a message that is
// not its key's turn is found again by its subject. So a key that is held back
// holds back no other, takes no place among the messages in flight, and the
// acknowledgement of a message with a key is fenced, and as durable as a write.
// A message with a key costs its consumer two writes and three reads more than
// one without; see Measured. A broadcast keeps its records to itself. Records that say no more than the server knows are dropped
// every minute.
//
// What is kept. Messages are dropped when they are older than the parameter
// retention (1h) and acknowledged by every group and broadcast; never before.
// Providers that have the topic open see to that every ten seconds: a topic that
// nobody uses keeps what it has, and a group that nobody reads any more keeps
// its messages for good: delete it.
//
// Loss. When the topic was deleted, or a broadcast was forgotten, Receive reports
// Compacted, and goes on with the oldest message of the topic as it then is.
// Receive of a group that was deleted is NotFound.
//
// # RPC
//
// The provider is a carrier: the frames of a call go over core NATS. A server
// listens on {prefix}.rpc.call.{service} in the queue group "servers", so that
// the broker spreads calls over all servers (in a cluster, it prefers those that
// are connected to the same node as the client). Each end of a call has an
// address of its own below the inbox of its provider. Packets are numbered: one
// that the broker dropped ends the call with Unavailable, and nothing is ever
// delivered twice. Messages that are longer than the broker takes go in pieces,
// up to 16 MiB. Small calls that one process begins at the same time share a
// message of the broker, up to 16, and so go to one server; so do the answers to
// one process. Nothing waits for others to come.
//
// A call that nobody serves fails as soon as the broker says so, after four
// offers in a fifth of a second: a server that has just begun to listen may not
// be known to all nodes yet. Both ends beat every second; one that is silent for
// four is taken for lost. That nobody has the other end's address any more is
// noticed earlier, with the next packet. A connection that breaks ends all calls on it
// with Unavailable; listeners go on with the next connection.
//
// # What is not claimed, and why
//
// ConfirmedAck with one replica, see Acknowledgements. FencedAck: an
// acknowledgement names a message and not who has it, and the server takes that
// of whoever had it before.
//
// AtomicBatch: an atomic batch fails as a whole for one duplicate.
//
// SnapshotList, WatchEvery and WatchTxn: a stream keeps one message for each key,
// so that a store takes no more room than its values. What is overwritten
// between two pages of a listing, or before a watcher comes by, is gone, also
// when it was part of a transaction. Keeping more of them for each key would
// only make that rarer. So there is no config.Snapshot either: settings that
// have to change together belong into one value.
//
// # Measured
//
// Times as fast as nats.go with its package jetstream, called in turns, on one
// server and two cores that had other work as well:
//
//	go test -run '^$' -bench PortableAgainstNATS -benchtime 6s ./providers/nats
//
//	                         get    put    publish
//	one caller               0.95   0.96   1.0
//	64 callers               1.4    1.7    1.5
//	one caller, sync always  0.97   1.2    1.1
//	64 callers, sync always  1.4    5      2.3
//
// Messages that one program receives and acknowledges in a second, a hundred at
// a time: 75,000 without a key, 1,300 of one key, 4,100 of a thousand keys.
//
//	go test -run '^$' -bench OrderedByKey -benchtime 3000x ./providers/nats
//
// With three servers, a leader killed every few seconds, ten in all, programs
// published 223,924 messages and counted up by compare-and-set 63,771 times in 71
// seconds: nothing that was acknowledged was lost, and the writes had an order in
// which each happened at one moment of its duration.
//
//	go test -run KilledLeaders ./providers/nats -failover.full
//
// All 436 cases of the conformance suite that need no kill of their own pass
// while the leader of JetStream, which leads a third of the streams too, is
// killed every five seconds: 395 of them the first time, and those whose calls
// failed under a kill in one of two rounds more.
//
//	go test -run LeadersAreKilled ./providers/nats -failover.full
//
// # Permissions
//
// A user needs to publish to $JS.API.>, $JS.ACK.>, {prefix}.> and _INBOX.>, and
// to subscribe to {prefix}.rpc.> and _INBOX.>.
package nats
