package kv

import (
	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// The claims of this facet, which [Require] demands. The constants of package
// driver define them in full.
const (
	CAS              = driver.ClaimCAS              // Create, CAS and DeleteIf are atomic
	Txn              = driver.ClaimTxn              // several conditions and writes happen as one
	LinearizableRead = driver.ClaimLinearizableRead // a read shows all writes acknowledged before it began
	List             = driver.ClaimList             // entries by prefix, ordered, in pages
	SnapshotList     = driver.ClaimSnapshotList     // all pages of a listing show one moment
	TTL              = driver.ClaimTTL              // times to live
	Watch            = driver.ClaimWatch            // changes, without silent gaps
	WatchEvery       = driver.ClaimWatchEvery       // every single change, in order
	WatchTxn         = driver.ClaimWatchTxn         // the changes of a transaction come together
	ExpiryEvents     = driver.ClaimExpiryEvents     // a watch tells expiry from deletion
	Manage           = driver.ClaimManage           // Stores and DeleteStore
)

// Codes to test the errors of this package for, with errors.Is.
const (
	ErrNotFound       = fairlead.NotFound       // the key does not exist
	ErrConflict       = fairlead.Conflict       // a condition did not hold; nothing was applied
	ErrUnknownOutcome = fairlead.UnknownOutcome // the write may or may not have been applied
	ErrUnavailable    = fairlead.Unavailable    // the backend cannot be reached; nothing was applied
	ErrUnsupported    = fairlead.Unsupported    // a claim that the call needs does not hold
	ErrCompacted      = fairlead.Compacted      // the history that was asked for is gone
)
