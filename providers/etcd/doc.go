// Package etcd offers the kv facet on etcd 3.6 or newer: on one server, and on
// a cluster. Package config reads from it as from any kv facet with Watch.
//
//	etcd://127.0.0.1:2379                     one server
//	etcd://app:secret@n1,n2,n3                members of a cluster, a user
//	etcds://n1,n2,n3?ca-file=/etc/etcd/ca.pem TLS
//
// Name all members, or as many as a program should be able to reach: calls go
// to those of them that answer, in turns. [providers.Schemes] lists the
// parameters. [providers.As] knows *clientv3.Client of
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
// Reads are linearizable, and need a majority. Revisions are etcd's: one counter
// for the whole cluster. The writes of one Do go out as few transactions, with a
// transaction within for each operation that has a condition: etcd writes its
// log once for all, and they have one revision. No key is written twice in one
// transaction.
//
// Requests have to stay within the server's --max-request-bytes (1.5 MiB by
// default, which is not told), those of Txn with all values together: more is
// TooLarge. The limit of operations is that of --max-txn-ops, which is probed,
// or 128 if that is less.
//
// Times to live are leases, in whole seconds, rounded up; MinTTL is what the
// server gives when it is asked for less (two seconds by default; it grows with
// --election-timeout). Keys that one Do writes with the same time to live share
// a lease. A lease never ends early, but a new leader lets all leases begin
// anew, also when the cluster was restarted. So the value of a key with a time
// to live begins with the moment of its end, eight bytes, milliseconds since
// 1970 by the clock of the program that wrote it; and who finds the key when
// that moment and clock-skew have passed deletes it before it answers that there
// is none. The clocks of the programs that share a store must not differ by
// more than clock-skew: a reader whose clock is ahead by more ends a time to
// live early by the rest. A Put, CAS, Delete or condition that meets such a key
// before any reader did takes it as it is. Its event comes when it is deleted:
// by a reader, or by the lease that began anew.
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
// # Permissions
//
// A user needs a role with readwrite on the range of the keys that begin with
// {prefix}/, as
//
//	etcdctl role grant-permission app --prefix=true readwrite fairlead/
//
// and may list members, or else durability is unverified.
package etcd
