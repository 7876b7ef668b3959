package dapr

import (
	"context"
	"strings"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	pubsubBatch     = 100
	pubsubPipelines = 4
	// maxMessage leaves room for base64 and for the escapes of metadata in a
	// request of the runtime's default size.
	maxMessage     = 1 << 20
	minAckDeadline = 100 * time.Millisecond
)

// pubsubSettings declares the parameters of the URL that are the facet's own.
func pubsubSettings() []providers.Setting {
	const ms, s = int64(time.Millisecond), int64(time.Second)
	return []providers.Setting{
		{Name: "group-pubsubs", Kind: providers.String,
			Help: "names of further pubsub components on the same broker, with commas between, each with a consumerID of its own; a topic may have one group for \"pubsub\" and one for each of them"},
		{Name: "processing-timeout", Kind: providers.Duration, Default: "60s", Min: 100 * ms, Max: 3600 * s,
			Help: "what the pubsub components' processingTimeout says: how long the sidecar waits for the end of a delivery"},
	}
}

// pubsubConfig is what the URL says of the facet.
type pubsubConfig struct {
	groupComponents   []string
	processingTimeout time.Duration
}

func newPubsubConfig(s providers.Settings) pubsubConfig {
	c := pubsubConfig{processingTimeout: s.Duration("processing-timeout")}
	for name := range strings.SplitSeq(s.String("group-pubsubs"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.groupComponents = append(c.groupComponents, name)
		}
	}
	return c
}

// pubsubComponent is the one by which the provider publishes.
func (p *provider) pubsubComponent() string {
	return p.current.Load().components[fairlead.PubSub].name
}

// pubsubComponents are those by which groups subscribe.
func (p *provider) pubsubComponents() []string {
	return append([]string{p.pubsubComponent()}, p.config.groupComponents...)
}

// groupsComponent is the state component that keeps the groups.
func (p *provider) groupsComponent() string { return p.current.Load().components[fairlead.KV].name }

func notOffered(c fairlead.Claim) error {
	return fairlead.Errorf(fairlead.Unsupported, "not offered over Dapr: %s", c)
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(context.Context, string) ([]string, error) {
	return nil, notOffered(driver.ClaimManage)
}

// DeleteTopic implements the pubsub driver's Provider.
func (p *provider) DeleteTopic(context.Context, string) error { return notOffered(driver.ClaimManage) }

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(context.Context, string, string) error {
	return notOffered(driver.ClaimManage)
}

// pubsubDefect says why a sidecar's pubsub component cannot be used, or nothing.
func (st state) pubsubDefect() string {
	broker, groups := st.components[fairlead.PubSub], st.components[fairlead.KV]
	switch {
	case broker.kind == "pubsub.in-memory":
		return "it drops what its subscriber does not acknowledge, and gives each subscription every message"
	case broker.kind != "pubsub.redis":
		return "what it does with deliveries that fail is not known here; pubsub.redis is"
	case groups.kind != "state.redis":
		return "the groups of topics are kept in a state component that lasts, and there is no state.redis"
	}
	return ""
}

// pubsubFacet says what the pubsub facet promises.
func (p *provider) pubsubFacet(state) fairlead.FacetDescription {
	durable := "Dapr does not say when its broker has stored a message, nor where"
	return fairlead.FacetDescription{
		Facet:  fairlead.PubSub,
		Claims: []fairlead.Claim{driver.ClaimReplayStart, driver.ClaimReplayTime},
		Missing: []fairlead.Missing{
			{Claim: fairlead.DurableFsync, Reason: durable},
			{Claim: fairlead.DurableQuorum, Reason: durable},
			{Claim: fairlead.Shared, Reason: "what a consumer holds when it closes comes to those of another Open only after the component's processingTimeout"},
			{Claim: driver.ClaimOrdered, Reason: "the component's workers hand messages on side by side"},
			{Claim: driver.ClaimOrderedByKey, Reason: "Dapr has no ordering keys"},
			{Claim: driver.ClaimBroadcast, Reason: "each subscription of a component shares its consumerID"},
			{Claim: driver.ClaimReplayPosition, Reason: "Dapr has no positions"},
			{Claim: driver.ClaimConfirmedAck, Reason: "Dapr does not answer an acknowledgement"},
			{Claim: driver.ClaimFencedAck, Reason: "Dapr does not tell a delivery from an earlier one"},
			{Claim: driver.ClaimNackDelay, Reason: "Dapr keeps no delays; a crash would end one early"},
			{Claim: driver.ClaimExtend, Reason: "Dapr delivers a message once more after the component's processingTimeout, to any consumer"},
			{Claim: driver.ClaimDeliveryCount, Reason: "Dapr does not count deliveries"},
			{Claim: driver.ClaimDedupe, Reason: "Dapr compares no ids"},
			{Claim: driver.ClaimAtomicBatch, Reason: "Dapr publishes the messages of a batch one by one"},
			{Claim: driver.ClaimManage, Reason: "Dapr can neither list nor delete topics"},
		},
		Limits: fairlead.Limits{
			MaxMessageBytes: maxMessage, MaxBatch: pubsubBatch, Pipelines: pubsubPipelines, MinAckDeadline: minAckDeadline,
		},
	}
}
