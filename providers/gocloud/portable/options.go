package portable

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

// Option changes how a topic or a subscription is opened. It is a
// pubsub.SubscribeOption of Fairlead (for a subscription), a
// pubsub.RequireOption, or an option of this package.
type Option any

type options struct {
	subscribe []pubsub.SubscribeOption
	open      []pubsub.TopicOption
	mustExist bool
	onGap     func(error)
}

type optionFunc func(*options)

// MustExist makes the first use of a topic that does not exist fail with
// NotFound, which programs for gocloud.dev may expect, instead of creating it.
// The provider must claim pubsub.Manage. Nothing is opened before the first use,
// so a new group begins then.
func MustExist() Option { return optionFunc(func(o *options) { o.mustExist = true }) }

// OnGap makes a subscription call report and continue after a gap.
func OnGap(report func(error)) Option { return optionFunc(func(o *options) { o.onGap = report }) }

func newOptions(opts []Option) (options, error) {
	var o options
	for _, opt := range opts {
		switch opt := opt.(type) {
		case optionFunc:
			opt(&o)
		case pubsub.RequireOption: // it is an option of topics and of subscriptions
			o.subscribe, o.open = append(o.subscribe, opt), append(o.open, opt)
		case pubsub.SubscribeOption:
			o.subscribe = append(o.subscribe, opt)
		default:
			return o, fairlead.Errorf(fairlead.Invalid, "an option has the type %T; pass options of the packages pubsub and portable", opt)
		}
	}
	return o, nil
}

// checkExists returns a NotFound error if the topic has to exist and does not.
func (o options) checkExists(ctx context.Context, p fairlead.Provider, topic string) error {
	if !o.mustExist {
		return nil
	}
	names, err := pubsub.Topics(ctx, p, topic)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == topic {
			return nil
		}
	}
	return fairlead.Errorf(fairlead.NotFound, "no topic %q; create it, or open it without MustExist", topic)
}
