// Package driver has the interfaces that a provider implements to offer the
// pubsub facet. Programs use package pubsub instead, which adds validation,
// batching of concurrent calls, handlers, dead letters and telemetry.
//
// # Contract
//
// Every call takes a batch and consists of data, so that it can cross a process
// boundary.
//
// Concurrency: all methods of [Provider], [Topic] and [Subscription] may be
// called concurrently, Receive included: two calls of Receive never return the
// same delivery.
//
// Delivery is at least once for a group: a message whose publication was
// acknowledged after the group existed is delivered until it is acknowledged.
// A delivery is leased for the subscription's AckDeadline; when the lease ends
// without an acknowledgement (the consumer died, or was too slow), or when the
// handle that received it is closed, the message is delivered again, to any
// consumer of the group.
//
// Retries: no layer above the driver repeats a Send. A driver repeats a Send only
// where it knows that the first attempt was not stored; the vendor's own retries
// are disabled.
//
// Bytes: a driver does not modify, and does not keep after the call returns,
// any slice or map that it is given; what it returns belongs to the caller
// and shares no memory with the backend or another delivery.
//
// Contexts: every call returns within about a second of the end of its
// context. If the context ends before a message was handed to the backend, the
// error is Canceled or DeadlineExceeded; if it ends later, and no answer came, the
// error is UnknownOutcome. A Receive whose context ends loses nothing: the messages
// that it had taken are delivered again, at once or when their leases end.
//
// Reconnecting: a driver survives the restart of its backend. Meanwhile Send
// fails with Unavailable or UnknownOutcome. Receive may fail with Unavailable and
// is then called again; it resumes without loss or fails with Compacted.
//
// Conditions that end a subscription, and conditions that pass: after an error of
// Receive with the code Closed (of this handle), NotFound (the group was deleted), Invalid,
// Unsupported or PermissionDenied, the consumer stops. Every other one is temporary: the consumer
// reports it, pauses, and calls Receive again. So a driver returns none of the
// final codes for a condition that passes, or that concerns one message, one
// connection or one partition. NotFound needs an answer of the backend that is certain: a
// server that starts, or takes over, may not know its groups yet; then it is
// Unavailable. One bad message (foreign, malformed, too large for
// an answer) is reported once with Internal, and does not hold back the
// messages after it. Closed and Canceled are never passed on from the vendor's
// client: they mean this handle and the caller's context.
//
// A wait that ended: a call that waits, and ends at the time of its context's
// deadline, returns DeadlineExceeded. It does not matter whether the backend, the
// vendor's client or the context noticed it first. package providers decides it with
// [fairlead.dev/providers.Lifetime.WaitError]. A call under a context that has not
// ended never returns Canceled or DeadlineExceeded: a limit of the driver's own is
// Unavailable, and the message names it.
//
// A full backend: if the backend has no space (memory, disk, quota), Send fails
// with Unavailable, never with UnknownOutcome if the backend has refused, and the
// message has the word "full", what is full, and what to do. Receive, every kind of
// Settle, trimming, Close, DeleteGroup and DeleteTopic work all the same: space can
// become free. So none of them may depend on a write that a full backend
// refuses, or makes that write after the one that frees space. If a lease cannot be
// extended, Settle returns the error; the portable layer cancels the handler
// before the lease ends.
//
// Errors are [*fairlead.Error] values with Code and Message set:
//
//   - any: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
//     Internal
//   - Send: UnknownOutcome; TooLarge where the backend refuses what the
//     published limits allow
//   - Receive: NotFound: the group was deleted; Compacted: messages that this
//     subscription should have received
//     are gone; the subscription resumes after the gap when Receive is called
//     again
//   - Settle: Conflict: the token is stale, since its lease was lost and the
//     message was or will be delivered again; UnknownOutcome: the message may have
//     been settled; Invalid: not a token
//   - OpenSubscription: Invalid for text that is not a position; Compacted for a
//     position after which messages are gone
//
// docs/operators.md has a table of what an operator may do to a backend, and what
// this facet then reports.
//
// # What the portable layer guarantees to a driver
//
// Names of topics and groups are 1–128 of the characters A–Z a–z 0–9 . _ - and
// start with a letter or digit. Ids, ordering keys, metadata names and values
// are valid UTF-8; a metadata name is not empty. The size of a message is at
// most MaxMessageBytes. A dead letter has at most [DeadLetterRoom] bytes more. So a
// driver accepts messages that much larger than the limit that it publishes, if
// what exceeds it is metadata. AckDeadlines and delays are within the limits, and at most
// [fairlead.MaxDuration]. Calls have at most MaxBatch messages or settlements.
// No method is called after Close, and none that is not claimed.
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
	// and creates the topic if it does not exist.
	OpenTopic(ctx context.Context, c TopicConfig) (Topic, error)

	// OpenSubscription joins a group or starts a broadcast subscription, and
	// creates topic and group if they do not exist. When it returns, the group
	// exists:
	// every message that is published from then on is delivered to it.
	OpenSubscription(ctx context.Context, c SubscriptionConfig) (Subscription, error)

	// Topics returns the names of the existing topics that start with prefix,
	// in any order. Claimed as ClaimManage.
	Topics(ctx context.Context, prefix string) ([]string, error)

	// DeleteTopic removes a topic with its messages and groups. A topic that
	// does not exist is no error. An open subscription reports Compacted once, and
	// continues with the messages that are published afterwards; those that an open
	// Topic sends create the topic again. Claimed as ClaimManage.
	DeleteTopic(ctx context.Context, name string) error

	// DeleteGroup removes a group from a topic: the messages that it did not
	// acknowledge are no longer kept for it. A group that does not exist is no
	// error. Receive of an open subscription fails with NotFound from then on.
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
	// StartNew: the messages published after OpenSubscription returned.
	StartNew Start = 1
	// StartEarliest: the oldest message that is still kept. Claimed as
	// ClaimReplayStart.
	StartEarliest Start = 2
	// StartTime: the first message published at or after a time. Claimed as
	// ClaimReplayTime.
	StartTime Start = 3
	// StartPosition: the first message after a position. Claimed as
	// ClaimReplayPosition.
	StartPosition Start = 4
)

// SubscriptionConfig says what to subscribe to.
type SubscriptionConfig struct {
	Topic string
	// Group shares the messages among its consumers, and outlives them. It is
	// empty for a broadcast subscription, which gets every message and ends with
	// its handle; claimed as ClaimBroadcast.
	Group string
	// Start applies if this call creates the group, or starts a broadcast
	// subscription; a group that exists resumes where it was.
	Start    Start
	Time     time.Time // StartTime: from 1970-01-01T00:00:01Z until 100 years from now
	Position string    // StartPosition: the Position of a message of this topic
	// AckDeadline is how long a delivery is leased: MinAckDeadline to
	// MaxAckDeadline.
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
	Deadline time.Time         // by when Send must have stored this message; zero for none
}

// DeadLetterRoom is the number of bytes by which a dead letter, with its metadata,
// may exceed MaxMessageBytes. So every message fits into the dead letters.
const DeadLetterRoom = 2048

// Size returns how many bytes the message has as MaxMessageBytes counts them.
func (m Message) Size() int {
	n := len(m.ID) + len(m.Key) + len(m.Body)
	for name, value := range m.Metadata {
		n += len(name) + len(value)
	}
	return n
}

// SendResult is the result of one message of a Send.
type SendResult struct {
	ID       string // the id that consumers receive
	Position string // opaque; empty if the backend has none
	// Duplicate: the backend had a message with this ID and did not store this
	// one. Only where ClaimDedupe is claimed.
	Duplicate bool
	Err       error // nil or a *fairlead.Error
}

// Subscription is a handle for receiving.
type Subscription interface {
	// Receive blocks until there is at least one message, and returns at most
	// limit messages.
	Receive(ctx context.Context, limit int) ([]Delivery, error)

	// Settle acknowledges, gives back, releases or extends deliveries, and returns one
	// error or nil for each, in order. A nil error for an acknowledgement means
	// that the backend has recorded it where ClaimConfirmedAck is claimed, and
	// otherwise that it was sent.
	Settle(ctx context.Context, s []Settlement) []error

	// Close gives back at once the messages that were received and not settled,
	// and releases the handle. Calls of Receive that wait fail with Closed.
	// Messages that the driver has fetched and that no Receive has returned are
	// given back as [Release] does, where that is claimed: they do not count as
	// delivered. Those that a Receive has returned count.
	Close(ctx context.Context) error
}

// Delivery is one message, received.
type Delivery struct {
	ID       string
	Key      string
	Body     []byte
	Metadata map[string]string // nil if there is none
	Time     time.Time         // when it was stored, by the backend's clock; zero if unknown
	// Token settles this delivery. It is opaque, and valid only with this
	// handle.
	Token string
	// Attempt counts the deliveries of this message to this group, this one
	// included; 0 if the backend does not count. A delivery counts when Receive
	// returns it; one that was given back with [Release], and a message that no
	// Receive has returned, do not count where ClaimRelease is claimed. Without
	// that claim, the count is the backend's, which may be higher. Claimed as
	// ClaimDeliveryCount.
	Attempt int
	// Position is the place of the message in the topic; opaque, durable;
	// empty if the backend has none.
	Position string
}

// SettleKind says what a [Settlement] does. The numbers are fixed.
type SettleKind uint8

const (
	// Ack: the message was handled; it is not delivered again.
	Ack SettleKind = 1
	// Nack: the message is delivered again, after Delay.
	Nack SettleKind = 2
	// Extend: the lease restarts and lasts the AckDeadline, or Delay if Delay is
	// not 0. Claimed as ClaimExtend.
	Extend SettleKind = 3
	// Release: nobody has begun to handle the message. It is delivered again at
	// once, to any consumer, and this delivery is not counted in
	// [Delivery.Attempt]. Claimed as ClaimRelease.
	Release SettleKind = 4
)

// Settlement settles one delivery.
type Settlement struct {
	Token string
	Kind  SettleKind
	// Delay is at least 0. Nack: at most MaxDelay; claimed as ClaimNackDelay if
	// not 0. Extend: see there. Ack, Release: 0.
	Delay time.Duration
}
