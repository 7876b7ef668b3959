// Package memory is the provider that lives in the memory of the program: the
// reference model of every contract, and the one to read before writing
// another.
//
//	mem://        a backend of its own for every Open
//	mem://NAME    one backend for all Opens of that name in this process
//
// A named backend lives until the last provider opened on it is closed.
//
// # Guarantees
//
// kv: every claim of the facet. One revision counts all changes of a store;
// the changes of one Txn share theirs. Times to live are exact to the
// millisecond and end whether or not somebody looks. A watch gets every
// change; it can start at any of the last changes (the history parameter) and
// fails with Compacted before that. A listing shows the moment of its first
// page; the moments of the last 64 listings are kept, a token of an older one
// fails with Compacted.
//
// pubsub: every claim of the facet. Messages are kept until every group has
// acknowledged them, and the last ones (the history parameter) beyond that,
// for replay. Messages with an ordering key wait for the one before; when
// 10,000 messages of a group wait so, it reads no further until some are
// acknowledged.
//
// rpc: a carrier within the process or, with the parameter rpc=directory, the
// addresses of gRPC servers of this process, whose calls go over the network.
//
// Nothing is durable: all is lost when the process ends.
//
// # Cost
//
// No goroutine, no timer and no unique id for a message or a key: deadlines
// lie in ordered trees that are looked at by whoever calls, and a call that
// waits holds one timer.
package memory
