package pubsub

import (
	"context"
	"slices"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/pubsub/driver"
)

// Topics returns the names of the topics of a provider that start with
// prefix, in order. It requires the claim [Manage].
func Topics(ctx context.Context, p fairlead.Provider, prefix string) ([]string, error) {
	names, err := listTopics(ctx, p, prefix)
	slices.Sort(names)
	return names, fairlead.Annotate(err, "pubsub.Topics", "")
}

func listTopics(ctx context.Context, p fairlead.Provider, prefix string) ([]string, error) {
	dp, err := openManager(ctx, p)
	if err != nil {
		return nil, err
	}
	return dp.Topics(ctx, prefix)
}

// DeleteTopic removes a topic with its messages and groups. A topic that does
// not exist is no error. It requires the claim [Manage].
func DeleteTopic(ctx context.Context, p fairlead.Provider, name string) error {
	return handle.Annotate(deleteTopic(ctx, p, name), "pubsub.DeleteTopic", "", objectOf(name, ""), "")
}

func deleteTopic(ctx context.Context, p fairlead.Provider, name string) error {
	if err := handle.ValidateName("topic", name); err != nil {
		return err
	}
	dp, err := openManager(ctx, p)
	if err != nil {
		return err
	}
	return dp.DeleteTopic(ctx, name)
}

// DeleteGroup removes a group from a topic; its messages are no longer kept
// for it. A group that does not exist is no error. It requires the claim
// [Manage].
func DeleteGroup(ctx context.Context, p fairlead.Provider, topic, group string) error {
	return handle.Annotate(deleteGroup(ctx, p, topic, group), "pubsub.DeleteGroup", "", objectOf(topic, group), "")
}

func deleteGroup(ctx context.Context, p fairlead.Provider, topic, group string) error {
	if err := handle.ValidateName("topic", topic); err != nil {
		return err
	}
	if err := handle.ValidateName("group", group); err != nil {
		return err
	}
	dp, err := openManager(ctx, p)
	if err != nil {
		return err
	}
	return dp.DeleteGroup(ctx, topic, group)
}

// openManager returns the driver if it claims Manage.
func openManager(ctx context.Context, p fairlead.Provider) (driver.Provider, error) {
	h, err := handle.Open(ctx, p, fairlead.PubSub, nil)
	if err != nil {
		return nil, err
	}
	if err := h.CheckClaim(Manage); err != nil {
		return nil, err
	}
	return driverOf(p)
}
