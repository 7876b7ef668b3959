// Package redis offers the kv and pubsub facets on Redis 7.0 or newer.
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
// Publishing. One Send is one script call: all of its messages are stored or
// none, with one fsync. A call whose answer was lost is UnknownOutcome and is
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
