package pubsub

import (
	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// The claims of this facet, to be demanded with [Require]. Their exact
// meaning stands with the constants of the same name in package driver.
const (
	Ordered        = driver.ClaimOrdered        // in the order of storing, while none comes again
	OrderedByKey   = driver.ClaimOrderedByKey   // in order and one at a time for each Key
	Broadcasts     = driver.ClaimBroadcast      // Broadcast subscriptions
	ReplayStart    = driver.ClaimReplayStart    // FromStart
	ReplayTime     = driver.ClaimReplayTime     // FromTime
	ReplayPosition = driver.ClaimReplayPosition // FromPosition
	ConfirmedAck   = driver.ClaimConfirmedAck   // Ack returns when the backend has it
	FencedAck      = driver.ClaimFencedAck      // an Ack after the lease was lost is refused
	NackDelay      = driver.ClaimNackDelay      // Nack with a delay
	Extend         = driver.ClaimExtend         // leases can be extended
	DeliveryCount  = driver.ClaimDeliveryCount  // Delivery.Attempt
	Dedupe         = driver.ClaimDedupe         // an id is stored once
	AtomicBatch    = driver.ClaimAtomicBatch    // PublishAtomic
	Manage         = driver.ClaimManage         // Topics, DeleteTopic, DeleteGroup
)

// The errors that a caller looks for, as targets of errors.Is.
const (
	ErrGap            = fairlead.Compacted      // messages of this subscription are gone
	ErrLeaseLost      = fairlead.Conflict       // the delivery is no longer this consumer's
	ErrUnknownOutcome = fairlead.UnknownOutcome // the message may or may not be stored
	ErrUnavailable    = fairlead.Unavailable    // the backend cannot be reached; nothing was stored
	ErrUnsupported    = fairlead.Unsupported    // a claim that the call needs does not hold
)
