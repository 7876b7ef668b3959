package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/pubsub/driver"
)

// createTopic creates the topic if there is none.
func (p *provider) createTopic(ctx context.Context, name string) error {
	_, err := p.join(ctx, driver.SubscriptionConfig{Topic: name})
	return err
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	names, err := p.namesWithPrefix(ctx, p.topicNamesKey(), prefix)
	if err != nil {
		return nil, err
	}
	var existing []string
	for _, name := range names {
		exists, err := p.topicExists(ctx, name)
		if err != nil {
			return nil, err
		}
		if exists {
			existing = append(existing, name)
		}
	}
	return existing, nil
}

func (p *provider) topicExists(ctx context.Context, name string) (bool, error) {
	stream := p.topicKeys(name).stream
	n, err := p.query(ctx, stream, goredis.NewCmd(ctx, "exists", stream))
	return asNumber(n) == 1, err
}

// DeleteTopic implements the pubsub driver's Provider. Deleting twice has the
// same effect as once, so that a lost reply does no harm.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	if _, err := p.query(ctx, p.topicNamesKey(), goredis.NewCmd(ctx, "srem", p.topicNamesKey(), name)); err != nil {
		return err
	}
	m := p.newMark()
	keys := p.topicKeys(name)
	_, err := p.write(ctx, m, keys.stream, deleteTopicScript.command(ctx, keys.all(), m))
	return err
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	keys := p.topicKeys(topic)
	m := p.newMark()
	_, err := p.write(ctx, m, keys.stream,
		deleteGroupScript.command(ctx, []string{keys.stream, keys.meta}, group, keys.group(group).base, m))
	return err
}
