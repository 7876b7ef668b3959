package pubsub

import (
	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// The claims of this facet, which [Require] demands. The constants of package
// driver define them in full.
const (
	Ordered        = driver.ClaimOrdered        // messages arrive in the order of storing, while none is redelivered
	OrderedByKey   = driver.ClaimOrderedByKey   // messages arrive in order and one at a time for each Key
	Broadcast      = driver.ClaimBroadcast      // WithoutGroup: every subscription gets every message
	ReplayStart    = driver.ClaimReplayStart    // FromStart
	ReplayTime     = driver.ClaimReplayTime     // FromTime
	ReplayPosition = driver.ClaimReplayPosition // FromPosition
	ConfirmedAck   = driver.ClaimConfirmedAck   // Ack returns after the backend recorded it
	FencedAck      = driver.ClaimFencedAck      // an Ack after the lease was lost is refused
	NackDelay      = driver.ClaimNackDelay      // Nack with a delay
	Extend         = driver.ClaimExtend         // Delivery.Extend
	Release        = driver.ClaimRelease        // a message whose handler has not begun is given back uncounted
	DeliveryCount  = driver.ClaimDeliveryCount  // Delivery.Attempt, DeadLetter
	Dedupe         = driver.ClaimDedupe         // an id is stored once
	AtomicBatch    = driver.ClaimAtomicBatch    // PublishAtomic
	Manage         = driver.ClaimManage         // Topics, DeleteTopic, DeleteGroup
)

// The errors to look for with errors.Is.
const (
	ErrGap            = fairlead.Compacted      // messages of this subscription are gone
	ErrLeaseLost      = fairlead.Conflict       // the delivery no longer belongs to this consumer
	ErrUnknownOutcome = fairlead.UnknownOutcome // the message may or may not be stored
	ErrUnavailable    = fairlead.Unavailable    // the backend cannot be reached; nothing was stored
	ErrUnsupported    = fairlead.Unsupported    // a claim that the call requires does not hold
)
