// Package lock has locks and elections over any kv store with CAS and TTL.
//
//	m, err := lock.New(store, "reports", lock.TTL(10*time.Second))
//	lease, err := m.Lock(ctx) // waits its turn
//	defer lease.Release(context.Background())
//
//	work, cancel := lease.Context(ctx) // ends when the lease is lost
//	defer cancel()
//	err = send(work, report, lease.Token()) // the receiver refuses smaller tokens
//
// # What a lease promises
//
// While [Lease.Lost] is open, no other lease of the same name is held: between
// all programs that use the same store, over restarts of the backend too. A
// lease lasts the [TTL] by the store's clock, and is renewed three times in it.
// It is lost when the store says that another lease is held or that it has
// expired, and when nine tenths of the TTL have passed since the last confirmed
// renewal was sent: before it ends in the store. The tenth is for clocks that run at
// different rates; where a provider says that the clocks of programs must agree
// for times to live (etcd's clock-skew), that holds for leases, too. A program
// that ends without Release keeps others out for the rest of the TTL.
//
// # What it cannot promise
//
// A program learns late that it has lost its lease if it does not run: it was
// stopped, swapped out, its machine suspended or moved (on Linux the clock that
// measures leases stands still meanwhile), or waited for memory. It may be just
// about to write, and write after the next owner did. No lock service prevents
// that. So every lease has a fencing token: a number that is greater than those
// of all leases of the name before. Two ways to use it:
//
//   - Data in the same store: add [Lease.Fence] to its Txn, which then fails
//     with Conflict from the moment at which another lease has got its token.
//   - Data elsewhere: send [Lease.Token] along with every write, and let the
//     receiver remember the greatest and refuse smaller ones.
//
// Without either, a lock saves work that would be done twice, and does not
// protect data.
//
// Tokens grow as long as the store keeps acknowledged writes. A store that loses
// acknowledged writes in a loss of power may give a token again; open the
// store with kv.Require(fairlead.DurableFsync) (or DurableQuorum, where servers
// can be lost) if data depends on it. The same holds for exclusion itself.
//
// # In the store
//
// A lock is two keys. NAME/holder names the holder and has a time to live.
// NAME/token holds the last token and stays: if it is deleted, tokens start from
// 1 again. Both may stand among other keys. A lock and an election of the same
// name are the same: use one or the other.
//
// Locking takes three writes and a read: the holder's key is created, the token
// is incremented, and the token is written into the holder's key. Thus a token is
// taken while the lock is held. If a program is so slow that its holder's key
// expires meanwhile, the last write fails and there is no lease. After a write
// with an unknown outcome the holder's key is read: it names its owner.
//
// A waiter watches the holder's key where the store claims Watch, and reads the
// key every [PollInterval] in any case. There is no queue: the first program
// that asks after the lock is free gets it, and a waiter may be overtaken.
//
// # Compared with etcd's package concurrency
//
// The same: exclusion by a lease, renewal in the background, waiting by a watch,
// TryLock, Campaign, Proclaim, Leader, Observe.
//
// Different: waiters of concurrency queue up, in the order of their keys'
// revisions; ours do not. There, all locks of a Session share one lease, and
// Session.Done is closed when the client learns that the lease has ended; here,
// each lock has its own, and Lost is closed before it ends, also when the
// backend cannot be asked. There, Unlock of a lost lock succeeds; here, Release
// fails with Conflict. There, the key's create revision serves as a token, and IsOwner
// as a condition of a Txn; here, Token and Fence, on every provider.
//
// # Concurrency
//
// All methods may be called concurrently; two calls of Lock exclude each other,
// also on the same Mutex. Every held lease has one goroutine, which ends when it
// is lost or released. A call of Lock, TryLock or Campaign that is given up waits for a
// second for the outcome of a write that is under way. If it takes longer, a goroutine
// goes on, for two TTLs at most, and gives back what the write may still take. Closing the store loses its leases at once; release them
// first.
package lock
