package redis

import (
	"context"
	"strings"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	maxMessageBytes = 8 << 20
	// maxSendBytes keeps one call below the server's limit for what a client
	// may have under way (client-query-buffer-limit, 1 GiB).
	maxSendBytes   = 512 << 20
	minAckDeadline = 10 * time.Millisecond
	maxDelay       = 365 * 24 * time.Hour
)

// pubsubConfig is what the URL says about the pubsub facet.
type pubsubConfig struct {
	retention time.Duration
	window    time.Duration
}

func newPubsubConfig(s providers.Settings) pubsubConfig {
	return pubsubConfig{retention: s.Duration("retention"), window: s.Duration("dedupe-window")}
}

// pubsubSettings declares the parameters of the URL that are the facet's own.
func pubsubSettings() []providers.Setting {
	return []providers.Setting{
		{Name: "retention", Kind: providers.Duration, Default: "1h", Max: int64(maxDelay),
			Help: "how long a message is kept for replay and broadcast after it was published; what a group has not acknowledged is kept for as long as that takes. The same for all users of a topic"},
		{Name: "dedupe-window", Kind: providers.Duration, Default: "2m", Max: int64(maxDelay),
			Help: "how long at least the id of a message is remembered to find duplicates; 0 for not at all. The same for all publishers of a topic"},
	}
}

// pubsubFacet says what the pubsub facet promises on servers in the state st.
func (p *provider) pubsubFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.PubSub,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimOrdered, driver.ClaimOrderedByKey, driver.ClaimBroadcast,
			driver.ClaimReplayStart, driver.ClaimReplayTime, driver.ClaimReplayPosition,
			driver.ClaimConfirmedAck, driver.ClaimFencedAck, driver.ClaimNackDelay, driver.ClaimExtend,
			driver.ClaimDeliveryCount, driver.ClaimAtomicBatch, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{noQuorum},
		Limits: fairlead.Limits{
			MaxMessageBytes: maxMessageBytes, MaxBatch: maxBatch, Pipelines: pubsubPipelines,
			MinAckDeadline: minAckDeadline, MaxDelay: maxDelay, DedupeWindow: p.config.pubsub.window,
		},
	}
	claim(&f, fairlead.DurableFsync, st.undurable(p.config))
	claim(&f, driver.ClaimDedupe, p.config.pubsub.forgetful())
	return f
}

// pubsubPipelines: while one call waits for the server's disk, the next is
// gathered.
const pubsubPipelines = 2

func (c pubsubConfig) forgetful() []lack {
	if c.window > 0 {
		return nil
	}
	return []lack{{reason: "the parameter dedupe-window is 0", remedy: "open with dedupe-window=2m"}}
}

// topicKeys are the names of a topic's keys. All of a topic, its groups
// included, is in one hash slot.
type topicKeys struct{ base, stream, meta, ids, older string }

func (p *provider) topicKeys(topic string) topicKeys {
	base := p.prefix + ":ps:{" + topic + "}:"
	return topicKeys{base: base, stream: base + "stream", meta: base + "meta", ids: base + "ids", older: base + "ids:older"}
}

func (k topicKeys) all() []string { return []string{k.stream, k.meta, k.ids, k.older} }

// groupKeys are the names of a group's keys. The lanes of the ordering keys
// come behind the base as well; the scripts name them.
type groupKeys struct{ base, due, parked, wake string }

func (k topicKeys) group(name string) groupKeys {
	base := k.base + "group:" + name + ":"
	return groupKeys{base: base, due: base + "due", parked: base + "parked", wake: base + "wake"}
}

// topicsKey names the set of topics. It is not in the topics' hash slots, so
// it may name topics that do not exist, but never lacks one: a topic is put in
// after it was created and taken out before it is removed.
func (p *provider) topicsKey() string { return p.prefix + ":ps:topics" }

// join is what the join script returned.
type join struct {
	epoch string
	place place // of a broadcast
}

// createTopic creates the topic if need be.
func (p *provider) createTopic(ctx context.Context, name string) error {
	_, err := p.join(ctx, driver.SubscriptionConfig{Topic: name})
	return err
}

// join creates the topic and the group if need be. Joining twice is as good as
// once, so that a lost answer does no harm.
func (p *provider) join(ctx context.Context, c driver.SubscriptionConfig) (join, error) {
	start, id, err := startOf(c)
	if err != nil {
		return join{}, err
	}
	keys := p.topicKeys(c.Topic)
	reply, err := p.run(ctx, nil, joinScript, keys.all(), randomName(), start, id, c.Group, keys.group(c.Group).base)
	if err != nil {
		return join{}, err
	}
	j, err := parseJoin(reply, c.Position)
	if err != nil {
		return join{}, err
	}
	return j, p.register(ctx, c.Topic)
}

func (p *provider) register(ctx context.Context, topic string) error {
	_, err := p.command(ctx, p.topicsKey(), "sadd", p.topicsKey(), topic)
	return err
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	reply, err := p.command(ctx, p.topicsKey(), "smembers", p.topicsKey())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range list(reply) {
		name := text(v)
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		stream := p.topicKeys(name).stream
		exists, err := p.command(ctx, stream, "exists", stream)
		if err != nil {
			return nil, err
		}
		if number(exists) == 1 {
			names = append(names, name)
		}
	}
	return names, nil
}

// DeleteTopic implements the pubsub driver's Provider. Removing twice is as
// good as once, so that a lost answer does no harm.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	if _, err := p.command(ctx, p.topicsKey(), "srem", p.topicsKey(), name); err != nil {
		return err
	}
	m := p.newMark()
	_, err := p.run(ctx, m, deleteTopicScript, p.topicKeys(name).all(), m)
	return err
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	keys := p.topicKeys(topic)
	m := p.newMark()
	_, err := p.run(ctx, m, deleteGroupScript, []string{keys.stream, keys.meta}, group, keys.group(group).base, m)
	return err
}
