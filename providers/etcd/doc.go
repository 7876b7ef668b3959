// Package etcd offers the kv and rpc facets on etcd 3.6 or newer, on one server
// and on a cluster, and the pubsub facet for low volumes. Package config reads
// from it as from any kv facet with Watch.
//
//	etcd://127.0.0.1:2379                     one server
//	etcd://app:secret@n1,n2,n3                members of a cluster, a user
//	etcds://n1,n2,n3?ca-file=/etc/etcd/ca.pem TLS
//
// Name all members, or as many as a program should be able to reach: calls take
// turns over the members that answer. [providers.Schemes] lists the parameters.
// [fairlead.As] knows *clientv3.Client of go.etcd.io/etcd/client/v3. Permissions
// are listed in docs/providers/etcd.md, measurements in docs/performance.md.
//
// # Durability
//
// DurableFsync is claimed if every voting member calls fsync for its log, and
// DurableQuorum if there also are three or more of them: a write is acknowledged
// when a majority has it in its log. With one or two members, the data does not
// survive the loss of one, and DurableQuorum is not claimed.
//
// etcd's API does not tell whether a member runs with --unsafe-no-fsync. Its
// metrics do. When the provider opens, and when a member was restarted, the
// provider grants a lease and revokes it, which every member writes to its log.
// On each member's page /metrics, at the URL for clients, it then compares the
// counters of fsyncs and of writes. A member that writes without fsync is named
// in Missing. A member whose page was never read is unverified, and neither claim
// is made: the pages of all members must be reachable, over the same TLS as the
// API. With assert-durable=true the operator vouches for members that do not tell
// (Notes say so); a member that was seen to write without fsync still refutes it.
// The provider looks at the members at every probe-interval, and logs a loss at
// run time once. If a member is restarted with other flags, the description is
// out of date until the next look.
//
// The provider cannot see whether the disks keep what they were told to flush,
// nor whether members share one.
//
// # Key-value
//
// The key KEY of a store is {prefix}/kv/{store}/KEY, and its value is stored as it
// is. The key {prefix}/kv-stores/{store} says that a store exists, also while it
// is empty. Other programs may read and write these keys; only the values of keys
// with a lease have a form of their own, see below.
//
// Reads are linearizable, and need a majority; the reads of one Do are one
// request. Revisions are etcd's: one counter for the whole cluster. Each write is
// a request of its own, and the writes of one Do are sent concurrently: writes
// that share a transaction would share a revision, and a watch could not resume
// between them. etcd writes its log once for all requests that arrive together.
//
// Requests must stay within the server's --max-request-bytes (1.5 MiB by default;
// the server does not tell it). The request of a Txn holds all its values. A larger
// request is TooLarge. The limit of operations is the server's --max-txn-ops, which
// is probed, or 128 if that is less.
//
// Times to live are leases, in whole seconds, rounded up. MinTTL is what the
// server grants when it is asked for less (two seconds by default; it grows with
// --election-timeout). Keys that a Txn writes with the same time to live share a
// lease. A lease never ends early, but a new leader restarts all leases, also
// after a restart of the cluster. So the value of a key with a time to live
// begins with the time at which it ends: eight bytes, milliseconds since 1970 by
// the clock of the program that wrote it. A reader that finds the key when that
// time and clock-skew have passed deletes the key, and answers that it does not
// exist. The clocks of the programs that share a store must not differ by more
// than clock-skew: a reader whose clock is ahead by more ends a time to live
// early by the difference. A Put, CAS, Delete or condition on a revision that
// meets such a key before any reader takes the key as it is. The key's event
// comes when it is deleted: by a reader, or by the lease that was restarted.
//
// etcd does not tell the end of a lease from a delete: ExpiryEvents is not
// claimed. A write with a time to live takes two round trips.
//
// All pages of a listing show the revision of the first page. A page token is
// Compacted when that revision was compacted. Page.Revision is the same revision.
//
// A value that another program wrote under a lease has no such time, and is read as
// it is.
//
// Watches deliver every change once, in order, and a Txn at once. A watcher has a
// stream of its own: a slow reader holds the server back, and needs no memory
// here. It asks every five seconds up to which revision it has everything, so that
// a watcher to which nothing happens resumes after a compaction. When the stream breaks, or its member has lost its leader, another stream
// continues after the last revision that was delivered. It fails with Compacted if
// the history since then was compacted (by hand, or by
// --auto-compaction-retention), or if the cluster has lost it. Next retries for a
// second while the servers cannot be reached, then fails with Unavailable, and may
// be called again. A server that freezes is noticed after 12 seconds of silence;
// gRPC and etcd do not allow shorter intervals.
//
// Lost answers. Nothing is sent twice. A write that was not handed to a
// connection is Unavailable, or has the error of its context. A write that was
// handed to one and has no answer is UnknownOutcome, and so is a write whose server
// answers that it timed out or stopped. etcd does not say who wrote a key, so the
// outcome is not resolved. When a login has expired, etcd's client logs in and
// sends again: nothing was applied then.
//
// A store that was deleted exists again when an open handle writes to it.
//
// # Publish and subscribe
//
// etcd is no message broker: this facet is for programs that have etcd already,
// and a few hundred messages a second. All messages go through the log of the
// cluster. The history of all of them stays in the database until it is
// compacted, and the database is limited by --quota-backend-bytes (2 GiB by
// default): configure etcd to compact by itself (--auto-compaction-retention).
// docs/performance.md says how many messages a group can deliver.
//
//	{prefix}/ps-topics/{topic}                                the number of the newest message
//	{prefix}/ps/{topic}/message/{number}                      a message
//	{prefix}/ps/{topic}/group/{group}                         says that a group exists
//	{prefix}/ps/{topic}/state/{group}/next                    the number of the next message to take
//	{prefix}/ps/{topic}/state/{group}/pending/{number}        a message that is not acknowledged, in JSON
//	{prefix}/ps/{topic}/state/{group}/pending/{number}/lease  who holds it, in JSON
//
// Publishing is one transaction, which raises the number and stores the messages
// of one Send, as many as --max-txn-ops and --max-request-bytes allow, with one
// fsync. Publishers of one topic in several programs conflict: the second one
// tries again. A Send whose answer was lost is UnknownOutcome. Ids are not kept,
// so publishing again may store a message twice.
//
// All subscriptions of a group in a process share one watch of the group's state,
// and their messages are handed out together, up to 63 in one transaction, which
// needs --max-txn-ops of at least 3. A process takes a few messages before a Receive
// asks for them: they are held by nobody, and any consumer of the group may get them.
// Several processes take turns, and do not do so while they conflict. Settling messages does not conflict:
// acknowledgements are confirmed and fenced. A lease ends by the clock of the
// consumer that holds it; others take the message clock-skew later. When 1,000
// messages wait for others with the same ordering key, or 100,000 are not
// acknowledged, a group takes no new ones.
//
// Broadcasts have no state in etcd: messages that are not acknowledged come again
// to the same handle.
//
// A message is deleted when every group has acknowledged it and there are 1,000
// newer ones. A group from which no program receives keeps its messages until it
// is deleted. Positions are numbers. Delivery.Time is by the clock of the
// publisher, so there is no ReplayTime.
//
// Other hands. When the topic was deleted, or the cluster has lost it, Receive
// reports Compacted, and creates topic and group again; positions then start from
// the beginning. Receive of a group that was deleted is NotFound. Messages that
// were deleted by hand before the group had them are reported as Compacted, once,
// and the group goes on. A message or a position that cannot be read is reported
// as Internal, once; the group goes on after the message, or with the oldest
// message that it may not have had. A sequence that cannot be read or is too small is
// made again from the messages that are kept.
//
// # A full database
//
// When the database has reached --quota-backend-bytes, etcd raises the alarm NOSPACE,
// refuses every put and every new lease, and still deletes. Writes of values and
// messages, new stores, topics, groups and registrations then fail with Unavailable,
// and the error says "full". What exists can be opened. Reads, deletes, DeleteIf, a
// Txn that only deletes, watches, Close, and deleting stores, topics and groups work.
// So does the renewal of a registration of rpc.
//
// A group goes on with the messages that it has taken, about a hundred at most:
// they are handed out, acknowledged, given back and extended. What cannot be written is
// then kept in the memory of the process, which deletes the lease of the message
// instead. If that process ends, the message comes to others when a lease would
// have ended, and there is room again. Another process does not count
// these deliveries as attempts. Messages that the group has not taken come when
// there is room. Trimming works: it is done after acknowledgements, and when a
// publisher is refused.
//
// Deletes make no room by themselves: the operator compacts the history, defragments
// the members and disarms the alarm. Everything goes on within a few seconds after
// that.
//
// A lock of package kv/lock renews its lease by a write, which is refused: over a
// full database, its lease is lost.
//
// # RPC
//
// etcd is a directory: it keeps the addresses of the servers, and calls are plain
// gRPC between the processes. An address is a key under a lease of rpc-lease (10
// seconds; etcd's minimum is about two), in the form of etcd's own
// go.etcd.io/etcd/client/v3/naming. That package's resolver finds the servers at
// the target etcd:///{prefix}/rpc/{service}, and the provider finds what other
// programs register there by that package.
//
//	{prefix}/rpc/{service}/{name}    {"Op":0,"Addr":"10.0.0.1:7000","Metadata":null}
//
// A server renews its lease three times within its length. It replaces a lease
// that was lost, and a key that another program deleted. The address of a server
// that was killed stays for rpc-lease, and if etcd elects a leader meanwhile, for
// rpc-lease from then on: clients notice the broken connection by themselves.
//
// A watcher reads the addresses, linearizably, whenever etcd's watch reports a
// change: it needs no history, and is not affected by compaction. It ignores
// entries in other forms.
package etcd
