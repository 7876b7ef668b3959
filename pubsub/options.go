package pubsub

import (
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/pubsub/driver"
)

// TopicOption is an option of [Open].
type TopicOption interface{ setTopic(*topicOptions) error }

// SubscribeOption is an option of [Subscribe].
type SubscribeOption interface{ setSubscription(*subscribeOptions) error }

type topicOptions struct{ require []fairlead.Requirement }

type subscribeOptions struct {
	topicOptions
	driver       driver.SubscriptionConfig
	withoutGroup bool
	starts       int // how many From options there are
	deadLetter   deadLetterConfig
}

func readTopicOptions(opts []TopicOption) (o topicOptions, err error) {
	for i, opt := range opts {
		if opt == nil {
			return o, handle.NilOption("pubsub.Open", i)
		}
		if err := opt.setTopic(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}

func readSubscribeOptions(topic string, opts []SubscribeOption) (subscribeOptions, error) {
	o := subscribeOptions{driver: driver.SubscriptionConfig{
		Topic: topic, Start: driver.StartNew, AckDeadline: DefaultAckDeadline,
	}}
	for i, opt := range opts {
		if opt == nil {
			return o, handle.NilOption("pubsub.Subscribe", i)
		}
		if err := opt.setSubscription(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}

// RequireOption is an option of both [Open] and [Subscribe].
type RequireOption struct{ reqs []fairlead.Requirement }

// Require makes opening fail with ErrUnsupported unless all requirements are
// met, and every later call while one of them is not.
func Require(reqs ...fairlead.Requirement) RequireOption { return RequireOption{reqs} }

func (r RequireOption) setTopic(o *topicOptions) error {
	if slices.Contains(r.reqs, nil) {
		return fairlead.Errorf(fairlead.Invalid, "Require needs claims, got nil; pass constants such as pubsub.Ordered")
	}
	o.require = append(o.require, r.reqs...)
	return nil
}

func (r RequireOption) setSubscription(o *subscribeOptions) error { return r.setTopic(&o.topicOptions) }

type subscribeOption func(*subscribeOptions) error

func (f subscribeOption) setSubscription(o *subscribeOptions) error { return f(o) }

// Group joins the group of that name: its consumers share the messages. The
// group outlives its consumers; see [DeleteGroup].
func Group(name string) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.driver.Group = name
		return handle.ValidateName("group", name)
	})
}

// WithoutGroup starts a broadcast subscription: it belongs to no group, gets
// every message, and ends when it is closed. It requires the claim [Broadcast].
func WithoutGroup() SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.withoutGroup = true
		return nil
	})
}

func startAt(start driver.Start, set func(*driver.SubscriptionConfig)) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.starts++
		o.driver.Start = start
		set(&o.driver)
		return nil
	})
}

// FromStart makes a new group, or a broadcast subscription, start with the
// oldest message that is kept. Without a From option it starts with the messages
// that are published from now on. A group that exists resumes where it was,
// whatever the options say. It requires the claim [ReplayStart].
func FromStart() SubscribeOption {
	return startAt(driver.StartEarliest, func(*driver.SubscriptionConfig) {})
}

// FromTime makes a new group, or a broadcast subscription, start with the first
// message that was stored at or after t, by the backend's clock. A t before 1970 is
// the oldest message that is kept. The zero time, and one that is more than 100
// years away, is Invalid. It requires the claim [ReplayTime].
func FromTime(t time.Time) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		if t.IsZero() || time.Until(t) > fairlead.MaxDuration { // Until saturates
			return fairlead.Errorf(fairlead.Invalid, "FromTime has %v; pass a time that is not zero and at most %v from now", t, fairlead.MaxDuration)
		}
		if earliest := time.Unix(1, 0); t.Before(earliest) {
			t = earliest
		}
		return startAt(driver.StartTime, func(c *driver.SubscriptionConfig) { c.Time = t }).setSubscription(o)
	})
}

// FromPosition makes a new group, or a broadcast subscription, start after the
// message with that Position. It requires the claim [ReplayPosition].
func FromPosition(position string) SubscribeOption {
	return startAt(driver.StartPosition, func(c *driver.SubscriptionConfig) { c.Position = position })
}

// DefaultAckDeadline is how long a delivery is leased unless [AckDeadline]
// says otherwise.
const DefaultAckDeadline = 30 * time.Second

// AckDeadline sets how long a delivery is leased; if it is not settled by then,
// the message is delivered again. Less than the provider's MinAckDeadline, and more
// than its MaxAckDeadline, is Invalid.
func AckDeadline(d time.Duration) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.driver.AckDeadline = d
		if d <= 0 {
			return fairlead.Errorf(fairlead.Invalid, "the AckDeadline is %v; it must be positive", d)
		}
		return nil
	})
}

// DeadLetter moves a message to another topic after it was delivered
// maxAttempts times and not acknowledged: when the last delivery is given back,
// or when the message would be delivered once more. A dead letter has the
// message's body, key and metadata, and the metadata dead-letter-topic, -id,
// -attempts and -reason in addition; a reason is cut to 1000 bytes. It is stored before the message is
// acknowledged, so that it may be stored twice and is never lost. DeadLetter
// requires the claim [DeliveryCount].
func DeadLetter(topic string, maxAttempts int) SubscribeOption {
	return subscribeOption(func(o *subscribeOptions) error {
		o.deadLetter = deadLetterConfig{topic, maxAttempts}
		if maxAttempts < 1 {
			return fairlead.Errorf(fairlead.Invalid, "DeadLetter has maxAttempts %d; it must be at least 1", maxAttempts)
		}
		return handle.ValidateName("dead letter topic", topic)
	})
}

// check validates the options as a whole.
func (o *subscribeOptions) check(f fairlead.FacetDescription) error {
	switch {
	case o.withoutGroup == (o.driver.Group != ""):
		return fairlead.Errorf(fairlead.Invalid, "a subscription either joins a group or is a broadcast subscription; pass one of Group(name) and WithoutGroup()")
	case o.starts > 1:
		return fairlead.Errorf(fairlead.Invalid, "the subscription has %d starting points; pass one of FromStart, FromTime and FromPosition", o.starts)
	case o.deadLetter.topic == o.driver.Topic:
		return fairlead.Errorf(fairlead.Invalid, "the dead letter topic is the topic itself, %q; name another", o.driver.Topic)
	case o.driver.AckDeadline < f.Limits.MinAckDeadline:
		return fairlead.Errorf(fairlead.Invalid, "the AckDeadline is %v; this provider accepts at least %v",
			o.driver.AckDeadline, f.Limits.MinAckDeadline)
	case o.driver.AckDeadline > handle.LongestDuration(f.Limits.MaxAckDeadline):
		return fairlead.Errorf(fairlead.Invalid, "the AckDeadline is %v; this provider accepts at most %v",
			o.driver.AckDeadline, handle.LongestDuration(f.Limits.MaxAckDeadline))
	}
	return fairlead.CheckRequirements(f, o.requiredClaims())
}

// requiredClaims returns the claims that the options depend on.
func (o *subscribeOptions) requiredClaims() []fairlead.Requirement {
	var reqs []fairlead.Requirement
	if o.withoutGroup {
		reqs = append(reqs, Broadcast)
	}
	if o.deadLetter.topic != "" {
		reqs = append(reqs, DeliveryCount)
	}
	switch o.driver.Start {
	case driver.StartEarliest:
		reqs = append(reqs, ReplayStart)
	case driver.StartTime:
		reqs = append(reqs, ReplayTime)
	case driver.StartPosition:
		reqs = append(reqs, ReplayPosition)
	}
	return reqs
}
