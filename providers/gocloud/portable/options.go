package portable

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

// Option changes how a topic or a subscription is opened: a
// pubsub.SubscribeOption of Fairlead (for a subscription), a
// pubsub.RequireOption, or one of this package.
type Option any

type options struct {
	subscribe []pubsub.SubscribeOption
	open      []pubsub.TopicOption
	mustExist bool
	onGap     func(error)
}

type setting func(*options)

// MustExist makes the first use of a topic that does not exist fail with
// NotFound, as programs for gocloud.dev may expect, rather than create it. The
// provider must claim pubsub.Manage. Nothing is opened before the first use,
// so that a group begins then.
func MustExist() Option { return setting(func(o *options) { o.mustExist = true }) }

// OnGap makes a subscription go on behind a gap, after calling report.
func OnGap(report func(error)) Option { return setting(func(o *options) { o.onGap = report }) }

func newOptions(opts []Option) (options, error) {
	var o options
	for _, opt := range opts {
		switch opt := opt.(type) {
		case setting:
			opt(&o)
		case pubsub.RequireOption: // is both of those below
			o.subscribe, o.open = append(o.subscribe, opt), append(o.open, opt)
		case pubsub.SubscribeOption:
			o.subscribe = append(o.subscribe, opt)
		default:
			return o, fairlead.Errorf(fairlead.Invalid, "an option is a %T; accepted are those of package pubsub and of this one", opt)
		}
	}
	return o, nil
}

// exists returns a NotFound error if the topic has to exist and does not.
func (o options) exists(ctx context.Context, p fairlead.Provider, topic string) error {
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
