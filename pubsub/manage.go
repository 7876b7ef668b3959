package pubsub

import (
	"context"
	"slices"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/pubsub/driver"
)

// Topics returns the names of the topics of a provider that start with
// prefix, in order. It needs the claim [Manage].
func Topics(ctx context.Context, p fairlead.Provider, prefix string) ([]string, error) {
	var names []string
	err := manage(ctx, p, func(dp driver.Provider) (err error) {
		names, err = dp.Topics(ctx, prefix)
		return err
	})
	slices.Sort(names)
	return names, fairlead.Annotate(err, "pubsub.Topics", "")
}

// DeleteTopic removes a topic with its messages and groups; one that does not
// exist is no error. It needs the claim [Manage].
func DeleteTopic(ctx context.Context, p fairlead.Provider, name string) error {
	err := manage(ctx, p, func(dp driver.Provider) error { return dp.DeleteTopic(ctx, name) },
		handle.CheckName("topic", name))
	return fairlead.Annotate(err, "pubsub.DeleteTopic", "")
}

// DeleteGroup removes a group from a topic, so that nothing is kept for it any
// longer; one that does not exist is no error. It needs the claim [Manage].
func DeleteGroup(ctx context.Context, p fairlead.Provider, topic, group string) error {
	err := manage(ctx, p, func(dp driver.Provider) error { return dp.DeleteGroup(ctx, topic, group) },
		handle.CheckName("topic", topic), handle.CheckName("group", group))
	return fairlead.Annotate(err, "pubsub.DeleteGroup", "")
}

func manage(ctx context.Context, p fairlead.Provider, do func(driver.Provider) error, checks ...error) error {
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	h, err := handle.Open(ctx, p, fairlead.PubSub, nil)
	if err != nil {
		return err
	}
	if err := h.Needs(Manage); err != nil {
		return err
	}
	dp, err := provider(p)
	if err != nil {
		return err
	}
	return do(dp)
}
