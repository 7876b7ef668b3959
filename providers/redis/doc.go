// Package redis offers the kv, pubsub and rpc facets on Redis 7.0 or newer: on one
// server, on a primary that Sentinels watch, and on a cluster.
//
//	redis://127.0.0.1:6379                               one server
//	rediss://app:secret@redis.example.org:6380/2         TLS, a user, database 2
//	redis://s1:26379,s2:26379?master-name=main           Sentinels
//	redis://n1,n2,n3                                     nodes of a cluster
//
// One host that turns out to be a node of a cluster is taken for the cluster.
// [providers.Schemes] lists the parameters. [fairlead.As] knows
// goredis.UniversalClient, *goredis.Client and *goredis.ClusterClient of
// github.com/redis/go-redis/v9. The log of go-redis, which has one for the
// whole process, goes to slog.Default at the level Debug.
//
// # Durability
//
// DurableFsync is claimed if every primary says so when it is asked: when the
// provider opens, on every new connection, and at every probe-interval. It has
// to be a primary with appendonly yes, appendfsync always and
// no-appendfsync-on-rewrite no, whose last write and last rewrite of the
// append-only file went well, and which does not evict: maxmemory is 0 or
// maxmemory-policy is noeviction. After CONFIG SET appendonly yes, Redis says
// that it is on, and loses everything when it is killed, until the first
// rewrite has ended; so where CONFIG SET or REPLICAOF was run since the server
// started, or CONFIG RESETSTAT hides whether, the claim waits for a moment
// without a rewrite, once, and again when somebody ran CONFIG SET.
// Whatever does not hold is in Missing, with what to change; a loss at run time
// is logged once.
//
// Where CONFIG GET is denied, durability is unverified and not claimed. The
// parameter assert-durable=true takes the operator's word for the settings
// (Notes say so); what INFO shows is still checked.
//
// DurableFsync speaks of the one server that acknowledged. Replication is
// asynchronous: a failover, by Sentinel, in a cluster or by hand, may lose
// acknowledged writes, and the provider says so in Notes. DurableQuorum is
// never claimed. With aof-load-truncated yes, the default, a server drops a torn
// end of its file when it starts: after a crash that end holds unacknowledged
// writes alone, but damage to the disk goes unnoticed, too.
//
// # Key-value
//
// All keys of a store begin with {prefix}:kv:{store}: and are in one hash slot:
// one server of a cluster carries a store.
//
//	…:k:KEY      the value, as REVISION, "." or "!" (with a time to live), VALUE
//	…:index      sorted set of the keys, for listings
//	…:log        stream of the changes, each under its revision
//	…:deadlines  sorted set of the keys with a time to live
//	…:fence      calls that were given up, for a day; seldom there
//	{prefix}:kv-stores   set of the names of all stores
//
// Do not write these keys by other means: watchers and listings would not know.
// The log keeps watch-history changes at least, with their values: that is what
// a store costs beyond its data, and a store of large values should keep fewer.
// What two providers with different watch-history keep is the lesser.
//
// Writes are scripts, which Redis runs one at a time: they check first and write
// after, so that a failure leaves nothing half done. The operations of one Do go
// out in one pipeline and share one fsync. The server refuses puts when it is
// out of memory (Unavailable); deletes go through.
//
// Revisions are the ids of the log: the server's milliseconds and a number. They
// grow, and are not used again after a delete, nor after the store was lost,
// unless the server's clock was set back in between.
//
// Times to live are exact to the millisecond, by the clock of the server, and
// absolute: they go on while it is down. If that clock is set, or a replica with
// another one is promoted, they end earlier or later by as much. Redis hides an
// expired key by itself; the event follows at once where a watcher waits, else
// within probe-interval while the store is open anywhere.
//
// Listings show each page at its own moment: SnapshotList is not claimed.
//
// Watches deliver every change once, in order, and a Txn at once. A watcher
// goes on from the last entry that it has read, and fails with Compacted if
// that entry is gone: trimmed, or lost with the server's data, by a failover,
// FLUSHALL or DeleteStore. It holds one connection while it waits, besides
// those of pool-size. Next tries again for a second while the server is away,
// then fails with Unavailable, and may be called again.
//
// LinearizableRead is claimed on a single primary only: elsewhere, a primary
// that was replaced answers reads until it notices.
//
// Lost answers. Nothing is sent twice. When a connection breaks under a write,
// the provider looks for the call's name in the log, for two seconds at most
// and as long as the context allows. If it is there, the write succeeded, with
// its revision. If it is not, the same step puts the name behind the fence, and
// a script that comes with it later does nothing: the write is then known not to
// have been applied, and never will be (Unavailable). Without an answer, or if
// the log was trimmed since, it is UnknownOutcome. The fence holds for a day:
// only a request that lay in a paused server for longer could pass it.
//
// A store that was deleted, or lost, is created again by the next write of an
// open handle.
//
// While a cluster moves the hash slot of a store, calls fail with Unavailable.
//
// # Permissions
//
// A user needs the keys {prefix}:* and, for any facet,
//
//	+info +config|get +eval +evalsha +exists +time +xadd +xread +xrevrange
//	+zadd +zrem +zrangebyscore +pexpire
//
// for kv and config
//
//	+get +mget +set +getrange +unlink +xrange +xinfo|stream +zscore +zrange
//	+zrangebylex +zremrangebyscore +sadd +srem +smembers
//
// for pubsub
//
//	+multi +exec +discard +del +unlink +rename +pttl +hget +hgetall +hset
//	+hdel +hexists +hlen +lindex +lrem +rpush +sadd +srem +smembers +xack
//	+xclaim +xgroup|create +xgroup|delconsumer +xgroup|destroy
//	+xinfo|consumers +xinfo|groups +xinfo|stream +xpending +xrange
//	+xreadgroup +xsetid +xtrim +zmscore +zrange +zscan
//
// for rpc
//
//	+pttl +zremrangebyscore
//
// and, in a cluster, +cluster|slots. Without +config|get, see Durability.
//
// # Publish and subscribe
//
// A topic is a stream, {prefix}:ps:{topic}:stream, and a group is one of its
// consumer groups, so that XINFO and XPENDING show what goes on. All keys of a
// topic are in one hash slot. Leases, attempts and lanes are kept by scripts,
// which Redis runs one at a time and by its own clock; XREAD is only what wakes
// a consumer. Messages that were given back, or that wait in the lane of their
// ordering key, belong to the consumer "waiting" in XPENDING.
//
// Publishing. One Send is one step of the server: all of its messages are
// stored or none, with one fsync. Messages with ids take a script; the others
// take XADD, several in a transaction, which costs the server a third less. An
// ACL that forbids MULTI, EXEC or DISCARD when a topic is opened leaves the
// script to all. A call whose answer was lost is UnknownOutcome and is
// not repeated; publish a message with an id again, and it is stored once: ids
// are remembered for the parameter dedupe-window (2m), at most for twice that.
// Messages of one call may have 512 MiB together (TooLarge).
//
// Groups. An acknowledgement counts while nobody else has taken the message:
// also after the lease has ended. The token of a lost lease, or of another
// consumer, is Conflict. Messages that come again come before new ones. While
// a message with an ordering key is out, the others of that key wait; when
// 10,000 wait in a group, it reads no new messages until some were settled, so
// one blocked key does stop the others then. A consumer that only waits asks
// the server again every two seconds.
//
// Broadcasts have no state on the server. What is not acknowledged comes again
// to the same handle, and is held in memory until then. A broadcast that is
// slower than the retention, or whose messages were deleted by other means, gets
// Compacted, once, and goes on behind the gap.
//
// What is kept. Messages are dropped when they are older than the parameter
// retention (1h) and acknowledged by every group; never before. A group that
// nobody reads any more keeps its messages for good: delete it. Handles drop
// messages while they publish and settle, at most once a second: a topic that
// nobody uses keeps what it has. Positions are stream ids, times are those of
// the server in milliseconds: StartTime begins with the first message of its
// millisecond.
//
// Loss. When the topic was deleted or the server's data lost, Receive reports
// Compacted, and the next call creates the topic and the group again. Receive
// of a group that was deleted is NotFound. After a failover that lost writes,
// a group goes on where the new primary has it.
//
// Foreign entries. What another program adds to the stream is delivered as far
// as it can be: the field b as the body, the other fields as metadata, those
// that are not valid UTF-8 left out. Do not acknowledge, claim or read with
// other programs in a group of Fairlead's.
package redis
