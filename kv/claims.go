package kv

import (
	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// The claims of this facet, to be demanded with [Require]. Their exact
// meaning stands with the constants of the same name in package driver.
const (
	CAS              = driver.ClaimCAS              // Create, CAS and DeleteIf are atomic
	Txn              = driver.ClaimTxn              // several conditions and writes as one
	LinearizableRead = driver.ClaimLinearizableRead // a read shows all writes acknowledged before it began
	List             = driver.ClaimList             // entries by prefix, ordered, paged
	SnapshotList     = driver.ClaimSnapshotList     // all pages show one moment
	TTL              = driver.ClaimTTL              // times to live
	Watch            = driver.ClaimWatch            // changes, without silent gaps
	WatchEvery       = driver.ClaimWatchEvery       // every single change, in order
	WatchTxn         = driver.ClaimWatchTxn         // the changes of a transaction together
	ExpiryEvents     = driver.ClaimExpiryEvents     // expiry told from deletion
	Manage           = driver.ClaimManage           // Stores and DeleteStore
)

// The errors that a caller looks for, as targets of errors.Is.
const (
	ErrNotFound       = fairlead.NotFound       // the key does not exist
	ErrConflict       = fairlead.Conflict       // a condition did not hold; nothing was applied
	ErrUnknownOutcome = fairlead.UnknownOutcome // the write may or may not have been applied
	ErrUnavailable    = fairlead.Unavailable    // the backend cannot be reached; nothing was applied
	ErrUnsupported    = fairlead.Unsupported    // a claim that the call needs does not hold
	ErrCompacted      = fairlead.Compacted      // the history that was asked for is gone
)

// Revision names one state of a key; see the package documentation.
type Revision = driver.Revision

// Entry is a key with its value and revision.
type Entry = driver.Entry

// Event is a change of a key.
type Event = driver.Event

// The kinds of an [Event].
const (
	PutEvent    = driver.PutEvent
	DeleteEvent = driver.DeleteEvent
	ExpireEvent = driver.ExpireEvent
)
