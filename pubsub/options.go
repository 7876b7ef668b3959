package pubsub

import (
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/pubsub/driver"
)

// TopicOption changes how [Open] opens a topic.
type TopicOption interface{ topic(*topicOptions) error }

// SubscribeOption changes how [Subscribe] subscribes.
type SubscribeOption interface{ subscribe(*subscribeOptions) error }

type topicOptions struct{ require []fairlead.Requirement }

type subscribeOptions struct {
	topicOptions
	driver.SubscriptionConfig
	broadcast  bool
	starts     int
	deadLetter deadLetterConfig
}

// RequireOption is an option of both [Open] and [Subscribe].
type RequireOption []fairlead.Requirement

// Require makes opening fail with ErrUnsupported unless all of these hold,
// and every later call while one of them does not.
func Require(reqs ...fairlead.Requirement) RequireOption { return reqs }

func (r RequireOption) topic(o *topicOptions) error {
	if slices.Contains(r, nil) {
		return fairlead.Errorf(fairlead.Invalid, "Require needs claims, got nil; pass constants such as pubsub.Ordered")
	}
	o.require = append(o.require, r...)
	return nil
}

func (r RequireOption) subscribe(o *subscribeOptions) error { return r.topic(&o.topicOptions) }

type subscribeOption func(*subscribeOptions) error

func (f subscribeOption) subscribe(o *subscribeOptions) error { return f(o) }

// Group joins the group of that name: its consumers share the messages. The
// group outlives its consumers; see [DeleteGroup].
func Group(name string) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.Group = name
		return handle.CheckName("group", name)
	})
}

// Broadcast makes a subscription of its own, which gets every message and
// ends when it is closed. It needs the claim [Broadcasts].
func Broadcast() SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.broadcast = true
		return nil
	})
}

func from(start driver.Start, set func(*subscribeOptions)) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.starts++
		o.Start = start
		set(o)
		return nil
	})
}

// FromStart makes a new group, or a broadcast, begin with the oldest message
// that is kept. Without a From option it begins with what is published from
// now on. A group that exists goes on where it was, whatever the options say.
// It needs the claim [ReplayStart].
func FromStart() SubscribeOption {
	return from(driver.StartEarliest, func(*subscribeOptions) {})
}

// FromTime makes a new group, or a broadcast, begin with the first message
// that was stored at or after t, by the backend's clock. It needs the claim
// [ReplayTime].
func FromTime(t time.Time) SubscribeOption {
	return from(driver.StartTime, func(o *subscribeOptions) { o.Time = t })
}

// FromPosition makes a new group, or a broadcast, begin behind the message
// with that Position. It needs the claim [ReplayPosition].
func FromPosition(position string) SubscribeOption {
	return from(driver.StartPosition, func(o *subscribeOptions) { o.Position = position })
}

// DefaultAckDeadline is how long a delivery is leased unless [AckDeadline]
// says otherwise.
const DefaultAckDeadline = 30 * time.Second

// AckDeadline sets how long a delivery is leased: after that it comes again.
// Less than the provider's MinAckDeadline is Invalid.
func AckDeadline(d time.Duration) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.SubscriptionConfig.AckDeadline = d
		if d <= 0 {
			return fairlead.Errorf(fairlead.Invalid, "the AckDeadline is %v; it must be positive", d)
		}
		return nil
	})
}

// DeadLetter moves a message to another topic once it was delivered
// maxAttempts times and not acknowledged: when the last of them is given back,
// or when it would come again. The message keeps its body, key and metadata,
// and gets dead-letter-topic, -id, -attempts and -reason. It is stored there before it is acknowledged here, so
// that it may be there twice and is never lost. It needs the claim
// [DeliveryCount].
func DeadLetter(topic string, maxAttempts int) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.deadLetter = deadLetterConfig{topic, maxAttempts}
		if maxAttempts < 1 {
			return fairlead.Errorf(fairlead.Invalid, "DeadLetter has maxAttempts %d; it must be at least 1", maxAttempts)
		}
		return handle.CheckName("dead letter topic", topic)
	})
}

// check validates the options as a whole.
func (o *subscribeOptions) check(f fairlead.FacetDescription) error {
	switch {
	case o.broadcast == (o.Group != ""):
		return fairlead.Errorf(fairlead.Invalid, "a subscription is either of a group or a broadcast; pass one of Group(name) and Broadcast()")
	case o.starts > 1:
		return fairlead.Errorf(fairlead.Invalid, "the subscription has %d starting points; pass one of FromStart, FromTime and FromPosition", o.starts)
	case o.deadLetter.topic == o.Topic:
		return fairlead.Errorf(fairlead.Invalid, "the dead letter topic is the topic itself, %q; name another", o.Topic)
	case o.SubscriptionConfig.AckDeadline < f.Limits.MinAckDeadline:
		return fairlead.Errorf(fairlead.Invalid, "the AckDeadline is %v, the least of this provider is %v",
			o.SubscriptionConfig.AckDeadline, f.Limits.MinAckDeadline)
	}
	return fairlead.CheckAll(f, o.needs())
}

// needs returns the claims that the options depend on.
func (o *subscribeOptions) needs() []fairlead.Requirement {
	var reqs []fairlead.Requirement
	if o.broadcast {
		reqs = append(reqs, Broadcasts)
	}
	if o.deadLetter.topic != "" {
		reqs = append(reqs, DeliveryCount)
	}
	switch o.Start {
	case driver.StartEarliest:
		reqs = append(reqs, ReplayStart)
	case driver.StartTime:
		reqs = append(reqs, ReplayTime)
	case driver.StartPosition:
		reqs = append(reqs, ReplayPosition)
	}
	return reqs
}
