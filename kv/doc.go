// Package kv is a key-value store over any provider.
//
//	p, err := fairlead.Open(ctx, "redis://127.0.0.1:6379")
//	users, err := kv.Open(ctx, p, "users", kv.Require(kv.CAS, kv.Watch, fairlead.DurableFsync))
//
//	rev, err := users.Put(ctx, "ann", []byte("1"))
//	rev, err = users.CAS(ctx, "ann", []byte("2"), rev)
//	if errors.Is(err, kv.ErrConflict) { … }
//
// # What holds everywhere
//
// Keys are valid UTF-8 of 1 to at least 512 bytes, in which every byte is
// ordinary; values are up to at least 1,000,000 bytes. An empty value is not a
// missing key. A write that was acknowledged is seen by every later read
// through the same handle. Deleting a missing key is no error.
//
// Everything else is a claim (see the constants), which [Require] demands. A
// call that needs a claim which does not hold fails with ErrUnsupported and
// sends nothing.
//
// # Revisions
//
// A [Revision] names one state of one key; the empty one names none. It is
// opaque: compare for equality only. A key never has a revision twice, also
// not after it was deleted and created again. A revision is also a place in
// the store's history, from which [Store.Watch] can start.
//
// # Errors
//
// Every error is a [*fairlead.Error]. A write fails with ErrConflict if its
// condition did not hold, and then changed nothing; [Current] may tell what is
// there now. It fails with ErrUnknownOutcome if it was sent and no answer came:
// it may have been applied, may be applied later, or may never be. Read before
// you repeat it. With any other code it was not
// applied. A key or value beyond the limits, an empty key, one that is not
// UTF-8: Invalid or TooLarge, before anything is sent.
//
// A store that was opened with [Require] checks its requirements as long as it
// is open. While a guarantee is lost, for example because the backend's settings
// were changed, every call fails with ErrUnsupported. The error says what was
// lost and how to restore it.
//
// # Concurrency
//
// All methods of [Store] may be called concurrently. Where the backend gains
// from it, the calls of concurrent callers are sent as one, so that they share
// a round trip and an fsync. A caller that gives up gets its error at once and
// does not affect the others. Slices that are passed in must not be changed until
// the call returns, and are not kept after that, with one exception: a write that
// ended with ErrUnknownOutcome may still be under way, so its value must not be
// changed at all. Slices that are returned belong to the caller.
package kv
