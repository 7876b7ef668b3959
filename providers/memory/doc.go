// Package memory is the provider that keeps its data in the memory of the
// program. It is the reference model of every contract. Read it before you write
// another provider.
//
//	mem://        a backend of its own for every Open
//	mem://NAME    one backend for all Opens of that name in this process
//
// A named backend lives until the last provider that uses it is closed.
//
// # Guarantees
//
// kv: every claim of the facet. A store counts all its changes with one
// revision; the changes of one Txn have the same revision. Times to live are
// exact to the millisecond, and keys expire even if no call reads them. A watch
// gets every change. It can start after any of the latest changes (the setting
// history says how many are kept) and fails with Compacted before that. All pages
// of a listing show the store as it was at the first page. The snapshots of the
// last 64 listings that have several pages are kept; a token of an older one
// fails with Compacted.
//
// pubsub: every claim of the facet. A message is kept until every group has
// acknowledged it. For replay, the latest messages are kept beyond that (the
// setting history says how many). A message with an ordering key waits until
// the one before it is acknowledged. While 10,000 messages of a group wait for
// their keys, the group delivers no new message until some are acknowledged.
//
// rpc: a carrier within the process or, with the setting rpc=directory, a
// directory of gRPC servers of this process, whose calls go over the network.
//
// Nothing is durable: all data is lost when the process ends.
//
// # Cost
//
// A message or a key needs no goroutine, no timer and no unique id. Deadlines are
// kept in ordered trees, which every call checks. A call that waits has one timer.
//
// # Reading the code
//
// A write: store.Do locks the table (lockTable), which removes expired keys;
// table.execute checks the precondition and calls applyWrite; putItem stores the
// value, moves the key's deadline, and recordChange appends the change to the
// history and wakes the watchers.
//
// A publication: publisher.Send calls topic.publish for each message, which looks
// for a duplicate and appends the message to the log; then trimLog drops messages
// that no group needs, and the waiting subscriptions wake. They read in
// subscription.Receive: group.deliver picks the next message and leases it.
package memory
