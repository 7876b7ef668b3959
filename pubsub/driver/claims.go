package driver

import "fairlead.dev"

// The claims of the pubsub facet. Every provider guarantees the following without
// a claim: publishing, groups of competing consumers, delivery at least once,
// acknowledgement, redelivery after a Nack, after a lease ended and after a
// consumer closed, and bodies and metadata that arrive byte for byte.
const (
	// ClaimOrdered: a topic's messages are delivered in the order in which
	// they were stored, as long as none is redelivered.
	ClaimOrdered fairlead.Claim = "pubsub.Ordered"
	// ClaimOrderedByKey: messages with the same ordering key are delivered to
	// a group, and to a broadcast subscription, in the order in which they were
	// stored, one at a time: a message waits until the one before is
	// acknowledged, even if that one is redelivered. Without this claim a
	// message with a key is refused.
	ClaimOrderedByKey fairlead.Claim = "pubsub.OrderedByKey"
	// ClaimBroadcast: a subscription without a group gets every message.
	ClaimBroadcast fairlead.Claim = "pubsub.Broadcast"
	// ClaimReplayStart: a new group can start with the oldest message kept.
	ClaimReplayStart fairlead.Claim = "pubsub.ReplayStart"
	// ClaimReplayTime: a new group can start at a time.
	ClaimReplayTime fairlead.Claim = "pubsub.ReplayTime"
	// ClaimReplayPosition: a new group can start after a position.
	ClaimReplayPosition fairlead.Claim = "pubsub.ReplayPosition"
	// ClaimConfirmedAck: an acknowledgement that returned nil is known to the
	// backend, as durable as a publication.
	ClaimConfirmedAck fairlead.Claim = "pubsub.ConfirmedAck"
	// ClaimFencedAck: an acknowledgement by a consumer that lost its lease
	// fails with Conflict and does not settle the message for its new owner.
	ClaimFencedAck fairlead.Claim = "pubsub.FencedAck"
	// ClaimNackDelay: the redelivery of a message that is given back can be
	// delayed.
	ClaimNackDelay fairlead.Claim = "pubsub.NackDelay"
	// ClaimExtend: a lease can be extended.
	ClaimExtend fairlead.Claim = "pubsub.Extend"
	// ClaimRelease: a message that was received, and that nobody has begun to
	// handle, can be given back without counting as an attempt.
	ClaimRelease fairlead.Claim = "pubsub.Release"
	// ClaimDeliveryCount: each delivery says which attempt it is.
	ClaimDeliveryCount fairlead.Claim = "pubsub.DeliveryCount"
	// ClaimDedupe: a message with the id of one that was stored shortly
	// before is not stored again.
	ClaimDedupe fairlead.Claim = "pubsub.Dedupe"
	// ClaimAtomicBatch: the messages of one Send are all stored or none.
	ClaimAtomicBatch fairlead.Claim = "pubsub.AtomicBatch"
	// ClaimManage: topics can be listed and deleted, groups deleted.
	ClaimManage fairlead.Claim = "pubsub.Manage"
)

// Claims returns the claims of this facet with their rules.
func Claims() []fairlead.ClaimInfo {
	return []fairlead.ClaimInfo{
		{Claim: ClaimOrdered, Rule: "delivered in the order of storing while none is redelivered"},
		{Claim: ClaimOrderedByKey, Rule: "one at a time and in order for each ordering key, redelivery included"},
		{Claim: ClaimBroadcast, Rule: "a subscription without a group gets every message"},
		{Claim: ClaimReplayStart, Rule: "a new group can start with the oldest message kept"},
		{Claim: ClaimReplayTime, Rule: "a new group can start at a time"},
		{Claim: ClaimReplayPosition, Rule: "a new group can start after a position"},
		{Claim: ClaimConfirmedAck, Rule: "an acknowledgement that returned nil is known to the backend"},
		{Claim: ClaimFencedAck, Rule: "an acknowledgement after the lease was lost is refused"},
		{Claim: ClaimNackDelay, Rule: "a message given back is not redelivered before the delay ends"},
		{Claim: ClaimExtend, Rule: "a lease can be extended"},
		{Claim: ClaimRelease, Rule: "a message given back before anybody has begun to handle it is not counted as tried"},
		{Claim: ClaimDeliveryCount, Rule: "each delivery says which attempt it is"},
		{Claim: ClaimDedupe, Rule: "a message with an id that was stored before is not stored again"},
		{Claim: ClaimAtomicBatch, Rule: "the messages of one batch are all stored or none"},
		{Claim: ClaimManage, Rule: "topics can be listed and deleted, groups deleted"},
	}
}
