// Package etcd offers the kv and rpc facets on etcd 3.6 or newer, on one server
// and on a cluster, and the pubsub facet for low volumes. Package config reads
// from it as from any kv facet with Watch.
//
//	etcd://127.0.0.1:2379                     one server
//	etcd://app:secret@n1,n2,n3                members of a cluster, a user
//	etcds://n1,n2,n3?ca-file=/etc/etcd/ca.pem TLS
//
// Name all members, or as many as a program should be able to reach: calls go
// to those of them that answer, in turns. [providers.Schemes] lists the
// parameters. [fairlead.As] knows *clientv3.Client of
// go.etcd.io/etcd/client/v3.
//
// # Durability
//
// DurableFsync is claimed if every voting member fsyncs its log, and
// DurableQuorum if there are three or more of them besides: a write is
// acknowledged when a majority has it in its log. With one member, or two, the
// loss of one is not survived, and DurableQuorum is not claimed.
//
// etcd's API does not say whether a member runs with --unsafe-no-fsync. Its
// metrics do: when the provider opens, and when a member was started anew, it
// grants a lease and revokes it, which every member writes to its log, and
// looks on each member's page /metrics, at the URL for clients, whether the
// counter of fsyncs grows with that of writes. A member that writes and does not
// fsync is named in Missing. A member whose page was never read is unverified,
// and neither claim is made: the pages of all members have to be within reach,
// over the same TLS as the API. assert-durable=true takes the operator's word
// for members that do not tell (Notes say so); one that was seen not to fsync
// still refutes it. The members are looked at every probe-interval; a loss at
// run time is logged once. Between the start of a member with other flags and
// the next look, the description is that much out of date.
//
// What cannot be seen: whether the disks keep what they were told to flush, and
// whether members share one.
//
// # Key-value
//
// The key KEY of a store is {prefix}/kv/{store}/KEY, with the value as it is;
// {prefix}/kv-stores/{store} says that a store exists, also while it is empty.
// Other programs may read
// and write these keys; those with a lease alone have a value of a form of their
// own, see below.
//
// Reads are linearizable, and need a majority; those of one Do are one request.
// Revisions are etcd's: one counter for the whole cluster. Writes are requests of
// their own, at the same time: were they gathered into transactions, they would
// have one revision, and a watch could not go on between them. etcd writes its
// log once for all that it gets at a time.
//
// Requests have to stay within the server's --max-request-bytes (1.5 MiB by
// default, which is not told), those of Txn with all values together: more is
// TooLarge. The limit of operations is that of --max-txn-ops, which is probed,
// or 128 if that is less.
//
// Times to live are leases, in whole seconds, rounded up; MinTTL is what the
// server gives when it is asked for less (two seconds by default; it grows with
// --election-timeout). Keys that a Txn writes with the same time to live share a
// lease. A lease never ends early, but a new leader lets all leases begin
// anew, also when the cluster was restarted. So the value of a key with a time
// to live begins with the moment of its end, eight bytes, milliseconds since
// 1970 by the clock of the program that wrote it; and who finds the key when
// that moment and clock-skew have passed deletes it before it answers that there
// is none. The clocks of the programs that share a store must not differ by
// more than clock-skew: a reader whose clock is ahead by more ends a time to
// live early by the rest. A Put, CAS, Delete or condition on a revision that meets
// such a key before any reader did takes it as it is. Its event comes when it is
// deleted: by a reader, or by the lease that began anew.
//
// etcd does not tell the end of a lease from a delete: ExpiryEvents is not
// claimed. A write with a time to live takes two round trips.
//
// Listings show the revision of their first page; a page token is Compacted
// when that revision has been. Page.Revision is that revision, too.
//
// Watches deliver every change once, in order, and a Txn at once. A watcher has
// a stream of its own: a slow reader holds the server back, and needs no memory
// here. When the stream breaks, or its member has lost its leader, another one
// goes on behind the last revision that was delivered; it fails with Compacted
// if the history from there on was compacted (by hand, or by
// --auto-compaction-retention), or if the cluster has lost it. Next tries again
// for a second while the servers are away, then fails with Unavailable, and may
// be called again. A server that freezes is noticed after 12 seconds of
// silence; gRPC and etcd allow no more frequent questions.
//
// Lost answers. Nothing is sent twice. A write that was not handed to a
// connection is Unavailable, or what its context says; one that was, and has no
// answer, is UnknownOutcome: also when the server answers that it timed out, or
// stopped. etcd does not say who wrote a key, so that it is not resolved. The
// client of etcd logs in again, and sends again, when a login has run out:
// nothing was applied then.
//
// A store that was deleted exists again when an open handle writes to it.
//
// # Publish and subscribe
//
// etcd is no message broker: this facet is for programs that have etcd, and a
// few hundred messages a second. Everything goes through the log of the cluster,
// the history of all of it stays in the database until it is compacted, and the
// database has --quota-backend-bytes (2 GiB by default): let etcd compact by
// itself (--auto-compaction-retention). On two cores and one server, 64 callers
// of one handle published about 30,000 messages of 256 bytes a second, one
// about 2,000; one that receives and acknowledges one message after the other
// dealt with about 700, and 64 of one handle with about 1,000: that is the
// ceiling of a group.
//
//	{prefix}/ps-topics/{topic}              the number of the newest message
//	{prefix}/ps/{topic}/message/{number}    a message
//	{prefix}/ps/{topic}/group/{group}       the state of a group, in JSON
//
// Publishing is one transaction that counts on and stores the messages of one
// Send, as many as --max-txn-ops and --max-request-bytes allow, with one fsync.
// Publishers of one topic in several programs get in each other's way: who comes
// second tries again. A Send whose answer was lost is UnknownOutcome; ids are
// not kept, so that publishing again may store it twice.
//
// A group is one value: how far it has come, what is handed out or waits, and
// until when. Who takes or settles messages reads it and writes it by
// compare-and-set, so that consumers of one group get in each other's way, too,
// and acknowledgements are confirmed and fenced. The end of a lease is a time by
// the clock of the consumer that has it; others take the message when it is over
// by clock-skew. A consumer that waits watches the topic; when 1,000 messages
// wait behind others with their ordering key, a group reads no new ones. A
// consumer that holds many messages makes every change of the group larger.
//
// Broadcasts have no state in etcd: what is not acknowledged comes again to the
// same handle.
//
// A message is deleted when every group has acknowledged it and 1,000 newer ones
// are there; a group that nobody reads keeps its messages for good: delete it.
// Positions are numbers. Delivery.Time is by the clock of the publisher: so
// there is no ReplayTime. When the topic was deleted, or the cluster has lost
// it, Receive reports Compacted, and makes topic and group again; positions begin
// anew then. Receive of a group that was deleted is NotFound.
//
// # RPC
//
// etcd is a directory: it keeps the addresses of the servers, and calls are plain
// gRPC between the processes. An address is a key under a lease of rpc-lease (10
// seconds; etcd takes no less than about two), in the form of etcd's own
// go.etcd.io/etcd/client/v3/naming, whose resolver finds the servers at the
// target etcd:///{prefix}/rpc/{service}; what other programs register there by
// that package is found here.
//
//	{prefix}/rpc/{service}/{name}    {"Op":0,"Addr":"10.0.0.1:7000","Metadata":null}
//
// A server renews its lease three times in its length. A lease that was lost is
// replaced, and so is a key that somebody deleted. The address of a server that
// was killed stays for rpc-lease, and when etcd elects a leader meanwhile, for
// that long from then on: clients notice the broken connection by themselves.
//
// A watcher reads the addresses, linearizably, whenever etcd's watch says that
// there is a change: it needs no history, and compaction is nothing to it.
// Entries that are not of that form are passed over.
//
// # Measured
//
// Times as fast as etcd's own client, called in turns, on one server and two
// cores that had other work as well:
//
//	go test -run '^$' -bench KVAgainstClientV3 -benchtime 3s ./providers/etcd
//
//	             get   put   get, then compare-and-set
//	one caller   1.0   1.05  1.0
//	64 callers   3.7   1.1   0.9 to 1.5, by the run
//
// With three members, a leader killed every few seconds, 41 in all, programs
// published 50,010 messages and counted up by compare-and-set 20,005 times in 221
// seconds: nothing that was acknowledged was lost, and what they wrote and read
// had an order in which each call happened at one moment of its duration.
//
//	go test -run KilledLeaders ./providers/etcd -failover.full
//
// All 447 cases of the conformance suite that need no kill of their own pass
// while a leader is killed every five seconds, 422 of them the first time; the
// others, whose calls failed under a kill, in one of five rounds more, with longer
// pauses for cases that take longer than that.
//
//	go test -run LeadersAreKilled ./providers/etcd -failover.full
//
// # Permissions
//
// A user needs a role with readwrite on the range of the keys that begin with
// {prefix}/, as
//
//	etcdctl role grant-permission app --prefix=true readwrite fairlead/
//
// and may list members, or else durability is unverified.
package etcd
