// Package nats offers the kv, pubsub and rpc facets on NATS 2.12 or newer with
// JetStream, on one server and on a cluster. Without JetStream it offers rpc only.
//
//	nats://127.0.0.1:4222                               one server
//	nats://app:secret@n1,n2,n3?replicas=3               a cluster, a user
//	nats://n1?creds-file=app.creds&ca-file=ca.pem       a JWT and its NKey, TLS
//
// The credentials are one of these: a user and password, a token (the URL's user
// without a password, or token-env, token-file), the seed of an NKey (nkey-file),
// or a credentials file (creds-file). The setting tls demands TLS, and so do the
// settings of certificates. A server that demands TLS gets it in any case.
// [providers.Schemes] lists the settings. [fairlead.As] knows *nats.Conn of
// github.com/nats-io/nats.go. Permissions are listed in docs/providers/nats.md,
// measurements in docs/performance.md.
//
// The client does not buffer requests while it is disconnected, and repeats
// nothing. It gives up a server that is silent for 4 to 6 seconds, and tries the
// next server in the URL, or the next one that the cluster names.
//
// # Durability
//
// JetStream acknowledges when it has written, and syncs later: every 2 minutes,
// unless sync_interval is always. With any other interval, acknowledged writes
// survive the kill of a server, but not the loss of its power. A client is not
// told the interval. So DurableFsync is claimed only if the setting monitor
// names the monitoring pages of the servers (of all that may hold data) and each
// says sync_always, now and at every probe-interval; or if the operator asserts it
// with assert-sync-always=true, which Notes say.
//
// The setting replicas is how many servers hold each stream. With 1, a stream is
// on one server of the cluster, and unavailable while that server is. With 3 or
// 5, a majority acknowledges each write, and DurableQuorum is claimed if the
// servers are known to sync always. A store that exists with another number of
// replicas is refused.
//
// No claim covers damaged files: Jepsen has found that JetStream loses acknowledged
// writes then, also with sync always; see docs/providers/nats.md. The same page lists
// the settings of servers, streams and consumers that take guarantees away. A stream
// or a consumer that has one of them is refused.
//
// Without sync always, a server that lost its power may use sequence numbers a
// second time: a revision may then stand for two states.
//
// # A full server
//
// A server that has reached max_file_store, an account that has reached its limits,
// and a stream that has reached max_bytes or max_msgs with discard new, refuse what
// would take room: Unavailable, with the word "full". What makes room works: Delete
// and DeleteIf, receiving, settling, dropping what is past the retention, deleting
// groups, topics and stores.
//
// A Delete on a full server removes the key without the marker that tells of it.
// Watchers that are connected get the event at once; the marker is written when there
// is room; a watcher that resumes from before gets Compacted. The records of ordering
// keys are in memory while the server is full, which needs room below
// max_memory_store. If such a server restarts, messages that were acknowledged since
// may come again, and a message may come while the previous one of its key is still
// being handled. In a cluster, JetStream elects no leaders on servers that are full;
// give such a cluster room.
//
// # Key-value
//
// A store is a stream, {prefix}-kv-{store}, with = for each dot of the name. Its
// subjects begin with {prefix}.kv.{store} and a random part. The random part is
// new when the store is created again, so that nothing that was meant for the deleted
// store reaches it. A handle continues with the store that was created again: a write
// creates it, a read is Unavailable while there is none, and watchers get Compacted.
// The subjects:
//
//	….k.KEY   the keys; the stream keeps the last message of each
//	….c.N     conditions of transactions, on keys that they do not write
//	….t       a record of times: see Watches
//
// Watchers also listen to {prefix}.kvd.{store}…: see A full server.
//
// A key is one token for each part that ends with a slash, and one that begins
// with = for the rest: a/b is a/.=b. Bytes other than letters, digits, _ and - are
// =XX. The server filters listings and watches of a prefix up to the prefix's last
// slash. A deleted key is a message with KV-Operation: PURGE, as in NATS KV;
// nats-cli can read a store, but must not write to it.
//
// With replicas, every read asks the leader of the stream, never a follower. Even
// so, LinearizableRead is not claimed: a leader that was replaced may answer until
// it notices. With one replica, the server that has it answers directly; do not
// give the stream of an open store more replicas by other means.
//
// Conditional writes depend on the sequence of the key's last message. A Create
// over a deleted key, and a conditional write that the server refuses, reads the
// key and tries again if the condition holds after all: nothing was applied
// before.
//
// A Txn is an atomic batch of at most 500 messages: one for each write, and one
// for each condition on a key that is not written. The server takes 50 batches at
// a time for one stream; the others wait.
//
// If the servers are known to sync always, eight or more unconditional writes of
// concurrent callers share an atomic batch, and with it one sync.
//
// A write whose answer was lost is UnknownOutcome, and is not repeated.
//
// Times to live are whole seconds, rounded up, by the server's clock, and continue
// while it is down. A server that was restarted removes keys that expired
// meanwhile a little late; reads do not show them.
//
// A listing asks for all subjects of the prefix, and sorts them. The handle keeps
// them for half a minute for the next page; a page after that asks for them again.
// The values of a page are read one by one. SnapshotList is not claimed.
//
// Watches merge changes: a watcher that is late gets the last state of each key.
// Deleted and expired keys are remembered for watch-history (1h; a store keeps the
// value with which it was created). A watcher continues after the last message
// that it has read, within a second after the server is back. It fails with
// Compacted if the stream does not hold all changes since then: deleted keys were
// forgotten, the store was deleted, or data was lost. Whether a deleted key was
// forgotten follows from the time at which the stream was at the watcher's
// position. That is the time of the message there, or of the last record of the
// store's time before it (16 in one watch-history, while a provider has the store
// open and writes to it).
//
// Watchers see a Delete of a key that does not exist as a delete.
//
// # Publish and subscribe
//
// A topic is a stream, {prefix}-ps-{topic}, with one subject for the messages
// without an ordering key, and one for each key, by its hash. A group is one of
// its durable pull consumers, g-{group}. A broadcast is a consumer of its own,
// which the server forgets 15 minutes after it last heard from its process.
//
// The body is the payload. A message with an id or metadata has them in front of
// the body, as texts with their lengths, and their total length in the header
// Fairlead-Meta. A message that another program publishes to the subject is
// delivered with its payload as the body.
//
// Publishing. The messages of one Send are sent at once and stored in their order.
// A message whose answer was lost is UnknownOutcome, and is not repeated. A
// message with an id may be published again, and is stored once: the server
// remembers ids for dedupe-window, also over a restart. It gets ids as they are,
// or the SHA-256 of those longer than about 200 bytes.
//
// Leases. The server gives a message to another consumer when it has not heard of
// it for 10 seconds. The provider reports to it in time the messages that are
// still leased, and gives back those whose lease has ended. So a lease may have
// any length from 100 ms. The messages of a process that died come again after 10
// seconds, whatever its AckDeadline; the messages of one that cannot reach the
// server may come again while it still works on them. No message is prefetched: one
// that comes when the Receive that asked for it has given up waits a second for the
// next one. A group has at most 65,536 messages in flight, those that were given back
// with a delay included; others wait.
//
// Acknowledgements are confirmed by the server. With one replica, it confirms
// first and writes a moment later: a server that is killed may deliver a message
// again that was acknowledged just before. So ConfirmedAck is claimed only with
// replicas. The handle that had a message refuses an acknowledgement after the
// lease, but JetStream itself does not fence: FencedAck is not claimed.
//
// Ordering keys. JetStream can hold back all messages of a consumer, but not those
// of one key. So a group has a record of each key that it is working on, changed
// by compare-and-swap, in a stream of its own, {prefix}-psk-{topic}. The record
// says up to where the key's messages are settled, and which consumer has the next
// one. A message from the server is only a reason to look at the record; a message
// that is not its key's next one is found later by its subject. So a key that is
// held back does not hold back others, and takes no place among the messages in
// flight. The acknowledgement of a message with a key is fenced, and as durable as
// a write. A message with a key costs its consumer two writes and three reads more
// than one without. A broadcast keeps its records in memory. Records that say no
// more than the server knows are dropped every minute.
//
// Retention. A message is dropped when it is older than the setting retention
// (1h) and every group and broadcast has acknowledged it, never before. Providers
// that have the topic open drop messages every ten seconds: a topic that no
// provider has open keeps its messages. A group from which no program
// receives keeps its messages until it is deleted.
//
// Loss. When the topic was deleted, or the server forgot a broadcast, Receive
// reports Compacted, and continues with the oldest message of the topic as it then
// is. When another program purged or deleted messages before they were received,
// Receive reports Compacted with the next message, if this process has received one
// before on the same connection; a purge of what the server counts as delivered
// several times may go unnoticed. Receive of a group that was deleted is NotFound. A
// purge of a store's stream by another program is not noticed: delete the store
// instead.
//
// # RPC
//
// The provider is a carrier: the frames of a call are messages of core NATS. A
// server listens on {prefix}.rpc.call.{service} in the queue group "servers", so
// that the broker spreads calls over all servers (in a cluster, it prefers those
// that are connected to the same node as the client). Each end of a call has an
// address of its own below the inbox of its provider. Packets are numbered: a
// packet that the broker dropped ends the call with Unavailable, and nothing is
// delivered twice. A message that is longer than the broker allows is sent in
// pieces, up to 16 MiB. Up to 16 small calls that one process begins at the same
// time share a message of the broker, and so reach the same server; the answers to
// one process share messages, too. No call waits for others to join it.
//
// A call that no server takes fails as soon as the broker says so, after four
// offers within a fifth of a second: a server that has just begun to listen may not
// be known to all nodes yet. Both ends send a packet every second; an end that is
// silent for four seconds counts as lost. If no process has the other end's address
// any more, the next packet shows it earlier. A connection that breaks ends all
// calls on it with Unavailable; listeners continue with the next connection.
//
// # Claims that are not made
//
// ConfirmedAck with one replica: see Acknowledgements.
//
// FencedAck: an acknowledgement names a message and not its consumer, and the
// server accepts it from an earlier consumer of the message.
//
// AtomicBatch: an atomic batch fails as a whole for one duplicate.
//
// SnapshotList, WatchEvery and WatchTxn: a stream keeps one message for each key,
// so that a store takes no more room than its values. A value that is overwritten
// between two pages of a listing, or before a watcher reads it, is gone, also when
// it was part of a transaction. Keeping more messages for each key would only make
// that less frequent. For the same reason there is no config.Snapshot: settings
// that must change together belong into one value.
package nats
