// Package driver is what a provider implements to offer the pubsub facet.
// Programs use package pubsub instead, which adds validation, grouping of
// concurrent calls, handlers, dead letters and telemetry.
//
// # Contract
//
// Every call is batch-shaped and made of data, so that it may cross a process.
//
// Concurrency: all methods of [Provider], [Topic] and [Subscription] may be
// called concurrently, Receive included: two calls of Receive never return the
// same delivery.
//
// Delivery is at least once for a group: a message whose publication was
// acknowledged after the group existed is delivered until it is acknowledged.
// A delivery is leased for the subscription's AckDeadline; when the lease ends
// without an acknowledgement (the consumer died, or was too slow), or when the
// handle that received it is closed, the message comes again, to any
// consumer of the group.
//
// Retries: nobody above the driver repeats a Send. A driver repeats one only
// where it knows that the first attempt was not stored; the vendor's own
// retries are off.
//
// Bytes: a driver does not modify, and does not keep after the call returns,
// any slice or map that it is given; what it returns belongs to the caller
// and shares no memory with the backend or another delivery.
//
// Contexts: every call returns within about a second of the end of its
// context. An end before a message was handed to the backend gives Canceled
// or DeadlineExceeded; after, with no answer, UnknownOutcome. A Receive whose
// context ends loses nothing: what it had taken comes again, at once or when
// its lease ends.
//
// Reconnecting: a driver survives the restart of its backend. Send meanwhile
// fails with Unavailable or UnknownOutcome. Receive may fail with Unavailable
// and is then called again; it resumes without loss or fails with Compacted.
//
// Errors are [*fairlead.Error] values with Code and Message set:
//
//   - any: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
//     Internal
//   - Send: UnknownOutcome; TooLarge where the backend refuses what the
//     published limits allow
//   - Receive: Compacted: messages that this subscription should have had are
//     gone; the subscription goes on behind the gap when Receive is called
//     again
//   - Settle: Conflict: the token is stale, its lease was lost, the message
//     comes or came again; UnknownOutcome: it may have been settled; Invalid:
//     not a token
//   - OpenSubscription: Invalid for a position that is not one; Compacted for
//     one whose messages are gone
//
// # What the portable layer guarantees to a driver
//
// Names of topics and groups are 1–128 of the characters A–Z a–z 0–9 . _ - and
// start with a letter or digit. Ids, ordering keys, metadata names and values
// are valid UTF-8; a metadata name is not empty. The size of a message is at
// most MaxMessageBytes. Calls have at most MaxBatch messages or settlements.
// Nothing is called after Close, and nothing that is not claimed.
package driver

import (
	"context"
	"time"

	"fairlead.dev"
)

// Provider is implemented by a provider that describes the pubsub facet.
type Provider interface {
	fairlead.Provider

	// OpenTopic returns a handle for publishing to the topic of that name,
	// and creates it if need be.
	OpenTopic(ctx context.Context, c TopicConfig) (Topic, error)

	// OpenSubscription joins a group or starts a broadcast subscription, and
	// creates topic and group if need be. When it returns, the group exists:
	// every message that is published from then on is delivered to it.
	OpenSubscription(ctx context.Context, c SubscriptionConfig) (Subscription, error)

	// Topics returns the names of the existing topics that start with prefix,
	// in any order. Claimed as ClaimManage.
	Topics(ctx context.Context, prefix string) ([]string, error)

	// DeleteTopic removes a topic with its messages and groups. A topic that
	// does not exist is no error. Claimed as ClaimManage.
	DeleteTopic(ctx context.Context, name string) error

	// DeleteGroup removes a group from a topic: what it did not acknowledge
	// is no longer kept for it. A group that does not exist is no error.
	// Claimed as ClaimManage.
	DeleteGroup(ctx context.Context, topic, group string) error
}

// TopicConfig says which topic to open.
type TopicConfig struct {
	Name string
}

// Start says where a subscription begins. The numbers are fixed: they cross
// processes.
type Start uint8

const (
	// StartNew: what is published after OpenSubscription returned.
	StartNew Start = 1
	// StartEarliest: the oldest message that is still kept. Claimed as
	// ClaimReplayStart.
	StartEarliest Start = 2
	// StartTime: the first message published at or after a time. Claimed as
	// ClaimReplayTime.
	StartTime Start = 3
	// StartPosition: the message just behind a position. Claimed as
	// ClaimReplayPosition.
	StartPosition Start = 4
)

// SubscriptionConfig says what to subscribe to.
type SubscriptionConfig struct {
	Topic string
	// Group shares the messages among its consumers, and outlives them. Empty
	// for broadcast: this subscription gets every message and ends with its
	// handle; claimed as ClaimBroadcast.
	Group string
	// Start applies when the group is created by this call, or to a
	// broadcast; an existing group goes on where it was.
	Start    Start
	Time     time.Time // StartTime
	Position string    // StartPosition: of a delivery of this topic
	// AckDeadline is how long a delivery is leased. At least MinAckDeadline.
	AckDeadline time.Duration
}

// Topic is a handle for publishing.
type Topic interface {
	// Send publishes messages and returns one result for each, in the order
	// of msgs. A nil error means that the message is stored, with the
	// durability that the provider claims. The failure of one message says
	// nothing about the others. Messages that succeed are stored in the order
	// of msgs where ClaimOrdered is claimed.
	Send(ctx context.Context, msgs []Message) []SendResult

	Close(ctx context.Context) error
}

// Message is what is published.
type Message struct {
	// ID is the publisher's name for the message. Empty: the driver uses the
	// position. It is the key of the deduplication where that is claimed.
	ID string
	// Key is the ordering key; empty for none. Claimed as ClaimOrderedByKey.
	Key      string
	Body     []byte            // nil and empty are the same
	Metadata map[string]string // names are case-sensitive
	Deadline time.Time         // of the Send, for this message; zero for none
}

// Size returns how many bytes the message has as MaxMessageBytes counts them.
func (m Message) Size() int {
	n := len(m.ID) + len(m.Key) + len(m.Body)
	for name, value := range m.Metadata {
		n += len(name) + len(value)
	}
	return n
}

// SendResult answers one message of a Send.
type SendResult struct {
	ID       string // as consumers will see it
	Position string // opaque; empty if the backend has none
	// Duplicate: the backend has the message already and stored none. Only
	// where ClaimDedupe is claimed.
	Duplicate bool
	Err       error // nil or a *fairlead.Error
}

// Subscription is a handle for receiving.
type Subscription interface {
	// Receive blocks until at least one message is there, and returns at most
	// limit of them.
	Receive(ctx context.Context, limit int) ([]Delivery, error)

	// Settle acknowledges, gives back or extends deliveries, and returns one
	// error or nil for each, in order. A nil error for an acknowledgement
	// means that the backend has it where ClaimConfirmedAck is claimed, else
	// that it was sent.
	Settle(ctx context.Context, s []Settlement) []error

	// Close gives back at once what was received and not settled, and
	// releases the handle. Calls of Receive that wait fail with Closed.
	Close(ctx context.Context) error
}

// Delivery is one message, received.
type Delivery struct {
	ID       string
	Key      string
	Body     []byte
	Metadata map[string]string // nil if there is none
	Time     time.Time         // when it was stored, by the backend's clock; zero if unknown
	// Token settles this delivery. It is opaque and not to be kept beyond the
	// handle.
	Token string
	// Attempt counts the deliveries of this message to this group, this one
	// included; 0 if the backend does not count. Claimed as
	// ClaimDeliveryCount.
	Attempt int
	// Position is the place of the message in the topic; opaque, durable;
	// empty if the backend has none.
	Position string
}

// SettleKind says what a [Settlement] does. The numbers are fixed.
type SettleKind uint8

const (
	// Ack: the message was dealt with; it does not come again.
	Ack SettleKind = 1
	// Nack: the message shall come again, after Delay.
	Nack SettleKind = 2
	// Extend: the lease starts anew and lasts the AckDeadline, or Delay if
	// that is not 0. Claimed as ClaimExtend.
	Extend SettleKind = 3
)

// Settlement settles one delivery.
type Settlement struct {
	Token string
	Kind  SettleKind
	Delay time.Duration // Nack: claimed as ClaimNackDelay if not 0; Extend
}
