// Package redis offers the kv, pubsub and rpc facets on Redis 7.0 or newer: on
// one server, on a primary that Sentinels monitor, and on a cluster.
//
//	redis://127.0.0.1:6379                               one server
//	rediss://app:secret@redis.example.org:6380/2         TLS, a user, database 2
//	redis://s1:26379,s2:26379?master-name=main           Sentinels
//	redis://n1,n2,n3                                     nodes of a cluster
//
// If a single host turns out to be a node of a cluster, the provider uses the
// cluster. [providers.Schemes] lists the settings. The permissions that a user
// needs are in docs/providers/redis.md, measurements in docs/performance.md.
//
// [fairlead.As] supports goredis.UniversalClient, *goredis.Client and
// *goredis.ClusterClient of github.com/redis/go-redis/v9. go-redis has one log
// for the whole process; the provider sends it to slog.Default at level Debug.
//
// # Durability
//
// DurableFsync is claimed if every primary satisfies the conditions below when
// the provider probes it: when the provider opens, on every new connection, and
// at every probe-interval.
//
//   - The server is a primary.
//   - It runs with appendonly yes, appendfsync always and
//     no-appendfsync-on-rewrite no.
//   - Its last write to the append-only file and the last rewrite of the file
//     have succeeded.
//   - It does not evict: maxmemory is 0 or maxmemory-policy is noeviction. INFO shows
//     this, too.
//
// docs/providers/redis.md has a table of all settings that take claims away.
//
// After CONFIG SET appendonly yes, Redis reports that the file is on, but until
// the first rewrite has ended, a killed server loses everything. So if CONFIG
// SET or REPLICAOF was run since the server started, or CONFIG RESETSTAT hides
// whether it was, the claim waits once until no rewrite runs. It waits again
// after every further CONFIG SET.
//
// Missing names each condition that does not hold, with what to change. A loss
// at run time is logged once.
//
// Where CONFIG GET is denied, durability is unverified and not claimed. The
// setting assert-durable=true takes the operator's word for the settings, and
// Notes say so. What INFO shows is still checked.
//
// DurableFsync applies only to the server that acknowledged. Replication is
// asynchronous: a failover, by Sentinel, in a cluster or by hand, may lose
// acknowledged writes, and Notes say so. DurableQuorum is never claimed. With
// aof-load-truncated yes, the default, a starting server drops a torn end of its
// file. After a crash, that end holds only unacknowledged writes, but damage to
// the disk goes unnoticed, too.
//
// # A full server
//
// A server that has reached maxmemory, with maxmemory-policy noeviction, refuses
// what stores something: puts, transactions with a put, messages, new stores and
// new topics. They fail with Unavailable, the error says "full", and nothing was
// applied. Everything else works: reads, deletes, watches, receiving,
// acknowledging, giving back and extending, dropping old messages, closing,
// deleting stores, topics and groups, keeping and ending the registrations of rpc
// servers. A lock of package kv/lock is renewed by a write, so it is lost after
// its time to live.
//
// # Key-value
//
// All keys of a store begin with {prefix}:kv:{store}: and are in one hash slot:
// in a cluster, one server holds a whole store.
//
//	…:k:KEY      the value, as REVISION, "." or "!" (with a time to live), VALUE
//	…:index      sorted set of the keys, for listings
//	…:log        stream of the changes, each under its revision
//	…:deadlines  sorted set of the keys with a time to live
//	…:fence      writes that were given up, for a day; rarely present
//	{prefix}:kv-stores   set of the names of all stores
//
// Do not write these keys by other means: watchers and listings would not notice.
// The log keeps at least watch-history changes, with their values. This is what
// a store costs beyond its data; a store of large values should keep fewer. If
// two providers use different values of watch-history, the lower one applies.
//
// Writes are scripts, which Redis runs one at a time. They check first and write
// afterwards, so that a failure leaves nothing half done. The operations of one
// Do are sent in one pipeline and share one fsync.
//
// Revisions are the IDs of the log: the server's milliseconds and a number. They
// grow. They are not used again after a delete, nor after the store was lost,
// unless the server's clock was set back in between.
//
// Times to live are exact to the millisecond, by the server's clock, and
// absolute: they continue while the server is down. If that clock is set, or a
// replica with another clock is promoted, they end earlier or later by the
// difference. Redis itself hides an expired key. The event follows at once if a
// watcher waits, else within probe-interval while the store is open anywhere.
//
// The pages of a listing show the store at different times: SnapshotList is not
// claimed.
//
// Watches deliver every change once and in order, and all changes of a Txn
// together. A watcher continues after the last entry that it has read. It fails
// with Compacted if that entry is gone: trimmed, or lost with the server's data,
// by a failover, FLUSHALL or DeleteStore. A waiting watcher holds one connection,
// which does not count towards pool-size. While the server is away, Next retries
// for a second, then fails with Unavailable, and may be called again.
//
// LinearizableRead is claimed only on a single primary: elsewhere, a primary
// that was replaced answers reads until it notices.
//
// Lost replies. Nothing is sent twice. When a connection breaks during a write,
// the provider searches the log for the name of the write, for at most two
// seconds and as long as the context allows. If the name is there, the write has
// succeeded, with its revision. If not, the same step adds the name to the fence.
// A script that arrives later with a fenced name does nothing. The write is then
// known not to have been applied, and it never will be (Unavailable). If the
// server does not answer the search, or the log was trimmed since, the result is
// UnknownOutcome. The fence lasts for a day: only a request that lay in a paused
// server for longer could pass it.
//
// If a store was deleted or lost, the next write of an open handle creates it
// again.
//
// While a cluster moves the hash slot of a store, calls fail with Unavailable.
//
// # Publish and subscribe
//
// A topic is a stream, {prefix}:ps:{topic}:stream. A group is a consumer group of
// this stream, so that XINFO and XPENDING show its state. All keys of a topic are
// in one hash slot. Scripts keep leases, attempts and lanes. Redis runs them one
// at a time, and they use its clock. XREAD only wakes a consumer. Messages that
// were given back, or that wait in the lane of their ordering key, belong to the
// consumer "waiting" in XPENDING.
//
// Publishing. One Send is one step of the server: it stores all messages or none,
// with one fsync. Messages with IDs take a script. The others take XADD, several
// in one transaction. If an ACL forbids MULTI, EXEC or DISCARD when a topic is
// opened, all sends of several messages take the script. A call whose reply was
// lost is UnknownOutcome and is not repeated. If a program publishes a message
// again with the same ID, it is stored once: IDs are remembered for at least the
// setting dedupe-window (2m), and at most for twice that. The messages of one
// call may have 512 MiB in total (TooLarge).
//
// Groups. An acknowledgement is valid until the message is delivered again, even
// after its lease has ended. The token of a lost lease, or of
// another consumer, is a Conflict. Messages that are delivered again come before
// new ones. While a message with an ordering key is leased, the others of that
// key wait. When 10,000 of them wait in a group, the group reads no new messages
// until some are settled: one blocked key then does stop the others. A waiting
// consumer asks the server again every two seconds.
//
// Broadcasts have no state on the server. A message that is not acknowledged is
// delivered again to the same handle, and is held in memory until then. If a
// broadcast is slower than the retention, or its messages were deleted by other
// means, it gets Compacted, once, and continues after the gap.
//
// Retention. Messages are dropped when they are older than the setting
// retention (1h) and every group has acknowledged them; never before. A group
// without consumers keeps its messages until it is deleted. Handles drop messages
// while they publish and settle, at most once a second: a topic that is not used
// keeps its messages. Positions are stream IDs. Times are the server's, in
// milliseconds: StartTime begins with the first message of its millisecond.
//
// Loss. When the topic, its stream or the server's data was lost, Receive reports
// Compacted, and the next call creates the topic and the group again; so it does
// when other programs have destroyed the group or a part of its state. Messages
// that other programs have trimmed or deleted before a group has read them are
// Compacted, once, within seconds. Messages that other programs have acknowledged
// in the group, and messages of a consumer or a lane that they have deleted, are
// delivered again without a report. Receive on a group that DeleteGroup has deleted
// is NotFound. After a failover that lost writes, a group continues from where the
// new primary has it.
//
// Attempts. A delivery that is released (Release), and a message that no Receive has
// returned, do not count as attempts.
//
// Foreign entries. An entry that another program adds to the stream is delivered
// as far as possible: the field b as the body, and the other fields as metadata,
// without those that are not valid UTF-8. Do not acknowledge, claim or read with
// other programs in a group of Fairlead.
package redis
