// Package driver is what a provider implements to offer the kv facet. Programs
// use package kv instead, which adds validation, grouping of concurrent calls
// and telemetry.
//
// # Contract
//
// Every call is batch-shaped and made of data: strings, byte slices, numbers.
// There are no callbacks and no types of a vendor, so that the same call may
// cross a process.
//
// Concurrency: all methods of [Provider] and [Store] may be called
// concurrently. [Watcher.Next] is called by one goroutine at a time;
// [Watcher.Close] may be called while Next runs.
//
// Retries: the layers above the driver never repeat a write. A driver repeats a write
// only where it knows that the first attempt was not applied; the vendor's
// own retries of writes are off. A driver may repeat a read until its context
// ends.
//
// Bytes: a driver does not modify, and does not keep after the call returns,
// any slice that it is given. Slices that it returns belong to the caller,
// which may change them: they share no memory with the store or with another
// result.
//
// Contexts: every call returns within about a second of the end of its
// context, whatever the backend does. An end of the context before an
// operation was handed to the backend gives Canceled or DeadlineExceeded;
// after a write was handed over, and no answer came, UnknownOutcome.
//
// Reconnecting: a driver survives the restart of its backend. Calls meanwhile
// fail with Unavailable (or UnknownOutcome); a [Watcher] resumes without loss
// or fails with Compacted.
//
// A wait that ended: a call that waits, and ends at the time of its context's
// deadline, returns DeadlineExceeded. It does not matter whether the backend, the
// vendor's client or the context noticed it first. package providers decides it with
// [fairlead.dev/providers.Lifetime.WaitError]. A call under a context that has not
// ended never returns Canceled or DeadlineExceeded: a limit of the driver's own is
// Unavailable, and the message names it.
//
// Conditions that end a watcher, and conditions that pass: Compacted, and the
// Closed of the watcher or its store, end a watcher. Every other error of Next is
// temporary, and the caller calls Next again after a pause. One bad entry (foreign,
// malformed) does not hold back the changes after it.
//
// A full backend: if the backend has no space (memory, disk, quota), writes of
// values fail with Unavailable, never with UnknownOutcome if the backend has
// refused, and the message has the word "full", what is full, and what to do.
// Reads, OpDelete, OpDeleteIf, a Txn that only deletes, expiry, watches, Close and
// DeleteStore work all the same: space can become free.
//
// Nothing by halves: a write that fails with a code other than UnknownOutcome has
// changed nothing: no value, no event, no part of a Txn. So what may fail is
// checked before the first write of a script or batch.
//
// Errors are [*fairlead.Error] values with Code and Message set; the portable
// layer fills in the operation and the provider. Codes by operation:
//
//   - any: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
//     Internal; any write also UnknownOutcome
//   - OpGet: NotFound
//   - OpCreate, OpCAS, OpDeleteIf, Txn: Conflict when a condition did not hold
//   - OpPut, OpCreate, OpCAS, Txn: TooLarge where the backend refuses what the
//     published limits allow; Unsupported for a TTL that is not claimed
//   - List: Invalid for a page token that the driver did not make; Compacted
//     when the snapshot that a token names is gone
//   - Watch and Next: Compacted; Invalid for a revision that is not one
//
// docs/operators.md has a table of what an operator may do to a backend, and what
// this facet then reports.
//
// # What the portable layer guarantees to a driver
//
// Names of stores are 1–128 of the characters A–Z a–z 0–9 . _ - and start with
// a letter or digit. Keys are valid UTF-8 of 1 to MaxKeyBytes bytes, any other
// byte included. Values are at most MaxValueBytes. TTLs are from MinTTL to
// MaxTTL, and at most [fairlead.MaxDuration]. A
// Txn names no key twice among its writes, nor among its conditions, and holds
// at most MaxTxnOps. Calls have at most MaxBatch operations. Nothing is called
// after Close, and nothing that is not claimed.
package driver

import (
	"context"
	"time"

	"fairlead.dev"
)

// Provider is implemented by a provider that describes the kv facet.
type Provider interface {
	fairlead.Provider

	// OpenStore returns the store of that name, and creates it if need be.
	// Stores are separate: no operation on one is seen in another. It fails
	// with Invalid if a store of that name exists with other properties.
	OpenStore(ctx context.Context, c StoreConfig) (Store, error)

	// Stores returns the names of the existing stores that start with prefix,
	// in any order. Claimed as ClaimManage.
	Stores(ctx context.Context, prefix string) ([]string, error)

	// DeleteStore removes a store with all that it holds. A store that does
	// not exist is no error. Open handles of it fail, or find it empty.
	// Claimed as ClaimManage.
	DeleteStore(ctx context.Context, name string) error
}

// StoreConfig says which store to open.
type StoreConfig struct {
	Name string
}

// Store is one key-value store.
type Store interface {
	// Do carries out operations that are independent of each other, in no
	// promised order, and returns one result for each, in the order of ops.
	// The failure of one says nothing about the others. An operation whose
	// Deadline has passed may be answered with DeadlineExceeded.
	Do(ctx context.Context, ops []Op) []Result

	// Txn applies all writes if all conditions hold, and none otherwise; no
	// reader ever sees a part of it. It returns the revision that the written
	// keys have. Claimed as ClaimTxn.
	Txn(ctx context.Context, t Txn) (Revision, error)

	// List returns a page of entries whose keys start with a prefix. Claimed
	// as ClaimList.
	List(ctx context.Context, r ListRequest) (Page, error)

	// Watch returns a watcher; its starting point is fixed when Watch
	// returns. Claimed as ClaimWatch.
	Watch(ctx context.Context, r WatchRequest) (Watcher, error)

	// Close releases the handle. Calls that wait are answered with Closed,
	// its watchers end with Closed. The data stays.
	Close(ctx context.Context) error
}

// Revision is the opaque name of one state of a key: bytes, compared for
// equality only. Every write of a key gives it a revision that it never had
// before, also after it was deleted and created again. The empty Revision
// names no state.
type Revision string

// OpKind says what an [Op] does. The numbers are fixed: they cross processes.
type OpKind uint8

const (
	// OpGet reads a key.
	OpGet OpKind = 1
	// OpPut writes a key whatever its state.
	OpPut OpKind = 2
	// OpCreate writes a key that does not exist; otherwise Conflict.
	OpCreate OpKind = 3
	// OpCAS writes a key whose revision is the given one; otherwise, also when
	// the key does not exist, Conflict.
	OpCAS OpKind = 4
	// OpDelete removes a key; a missing key is no error.
	OpDelete OpKind = 5
	// OpDeleteIf removes a key whose revision is the given one; otherwise, also
	// when the key does not exist, Conflict.
	OpDeleteIf OpKind = 6
)

// IsWrite reports whether an operation of this kind changes the store.
func (k OpKind) IsWrite() bool { return k != OpGet }

// Op is one operation on one key.
type Op struct {
	Kind     OpKind
	Key      string
	Value    []byte        // OpPut, OpCreate, OpCAS; nil and empty are the same
	Revision Revision      // OpCAS, OpDeleteIf; never empty there
	TTL      time.Duration // OpPut, OpCreate, OpCAS: 0 for none, which also clears an earlier one
	Deadline time.Time     // zero for none
}

// Size returns how many bytes the operation carries.
func (op Op) Size() int { return len(op.Key) + len(op.Value) }

// Result answers an [Op].
type Result struct {
	Value    []byte   // OpGet; an existing empty value is not an error
	Revision Revision // OpGet: the key's; OpPut, OpCreate, OpCAS: the one just written
	Err      error    // nil or a *fairlead.Error
	// Current is optional. A driver sets it for an OpCreate, OpCAS or
	// OpDeleteIf that failed with Conflict, if the backend's answer that
	// refused the operation contained the key's state. An Entry without a
	// Revision says that the key did not exist; nil says nothing. A driver
	// never reads again for it, and never fills it from an earlier answer. It
	// may leave out a large entry.
	Current *Entry
}

// Condition is a condition of a [Txn].
type Condition struct {
	Key      string
	Revision Revision // the key's revision; empty: the key does not exist
}

// Txn is a set of conditions and writes. Writes are of the kinds OpPut and
// OpDelete, and have no Deadline of their own.
type Txn struct {
	Conditions []Condition
	Writes     []Op
}

// Entry is a key with its state.
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision
}

// ListRequest asks for a page.
type ListRequest struct {
	Prefix string // empty for all keys
	Token  string // of the page before; empty for the first page
	Limit  int    // most entries wanted, at least 1; a driver may return fewer
}

// Page is a part of a list.
//
// Keys come in ascending order of their bytes, within a page and from page to
// page; no key comes twice in one listing, and a key that exists during the
// whole listing is not left out. Where ClaimSnapshotList is claimed, all pages show
// the store at one moment.
type Page struct {
	Entries []Entry
	Token   string // for the next page; empty after the last
	// Revision is a place in the store's history at or before the moment of
	// the first page: a watch after it misses nothing that the listing does
	// not show. Empty if ClaimWatch is not claimed.
	//
	// Where ClaimWatchTxn is claimed but ClaimSnapshotList is not, it is
	// exactly the Revision of the store's last event before that moment (one
	// fixed value if there was none). A reader that applies to a listing
	// the events up to the Revision of a later listing has the state of one
	// moment.
	Revision Revision
}

// EventKind says what happened to a key. The numbers are fixed.
type EventKind uint8

const (
	// PutEvent: the key has a new value and revision.
	PutEvent EventKind = 1
	// DeleteEvent: the key was deleted (or expired, where ClaimExpiryEvents is not
	// claimed).
	DeleteEvent EventKind = 2
	// ExpireEvent: the key's time to live ended.
	ExpireEvent EventKind = 3
)

// Event is one change of one key.
type Event struct {
	Kind  EventKind
	Key   string
	Value []byte // PutEvent
	// Revision is the key's revision for a PutEvent, and a place in the
	// store's history for every event: a watch after it begins just after
	// this event (after the whole Txn, where one Txn made several).
	Revision Revision
}

// WatchRequest asks for a watcher.
type WatchRequest struct {
	Prefix string
	// After is the revision of an entry, event or page; the changes after it
	// are delivered. Empty for the changes from now on.
	After Revision
}

// Watcher delivers changes in the order in which they were made.
//
// Where ClaimWatchEvery is claimed, every change is delivered once; otherwise
// changes of a key may be merged, and the last one is always delivered. The
// events of one Txn come in one batch where ClaimWatchTxn is claimed.
type Watcher interface {
	// Next blocks until there are events, and returns at least one. After an
	// error with the code Compacted or Closed the watcher has ended: every
	// later call returns the same error. Every other error is temporary.
	//
	// A Next whose context has ended already returns no events. If the context
	// ends later, Next returns its error, or events that it has read. Either way
	// no event is skipped: the following Next continues after the last event
	// that was returned.
	Next(ctx context.Context) ([]Event, error)

	// Close ends the watcher. A Next that waits, and every later one, fails with
	// Closed, also if there are events that it has read: a new watch after the
	// last event that was returned delivers them. Calls after the first return
	// nil.
	Close(ctx context.Context) error
}
