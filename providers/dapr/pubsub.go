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

// pubsubSettings declares the URL settings of the pubsub facet.
func pubsubSettings() []providers.Setting {
	const ms, s = int64(time.Millisecond), int64(time.Second)
	return []providers.Setting{
		{Name: "group-pubsubs", Kind: providers.String,
			Help: "further pubsub components on the same broker, separated by commas, each with its own consumerID; a topic may have one group for \"pubsub\" and one for each of them"},
		{Name: "processing-timeout", Kind: providers.Duration, Default: "60s", Min: 100 * ms, Max: 3600 * s,
			Help: "processingTimeout of the pubsub components: how long the sidecar waits until a delivery is settled"},
	}
}

// pubsubConfig holds the URL settings of the pubsub facet.
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

// pubsubComponent returns the component that the provider publishes to.
func (p *provider) pubsubComponent() string {
	return p.current.Load().components[fairlead.PubSub].name
}

// pubsubComponents returns the components that groups subscribe by.
func (p *provider) pubsubComponents() []string {
	return append([]string{p.pubsubComponent()}, p.config.groupComponents...)
}

// groupStateComponent returns the state component that stores the groups.
func (p *provider) groupStateComponent() string { return p.current.Load().components[fairlead.KV].name }

func unsupportedClaim(c fairlead.Claim) error {
	return fairlead.Errorf(fairlead.Unsupported, "not offered over Dapr: %s", c)
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(context.Context, string) ([]string, error) {
	return nil, unsupportedClaim(driver.ClaimManage)
}

// DeleteTopic implements the pubsub driver's Provider.
func (p *provider) DeleteTopic(context.Context, string) error {
	return unsupportedClaim(driver.ClaimManage)
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(context.Context, string, string) error {
	return unsupportedClaim(driver.ClaimManage)
}

// pubsubDefect returns why the pubsub component of a sidecar cannot be used, or
// "".
func (st sidecarState) pubsubDefect() string {
	broker, groups := st.components[fairlead.PubSub], st.components[fairlead.KV]
	switch {
	case broker.kind == "pubsub.in-memory":
		return "it drops messages that its subscriber does not acknowledge, and gives each subscription every message"
	case broker.kind != "pubsub.redis":
		return "it is not known what this component does with deliveries that fail; use pubsub.redis"
	case groups.kind != "state.redis":
		return "the groups of topics need a persistent state component, and the sidecar has no state.redis"
	}
	return ""
}

// pubsubFacet describes the pubsub facet.
func (p *provider) pubsubFacet(sidecarState) fairlead.FacetDescription {
	durable := "Dapr does not report when, or where, its broker has stored a message"
	return fairlead.FacetDescription{
		Facet:  fairlead.PubSub,
		Claims: []fairlead.Claim{driver.ClaimReplayStart, driver.ClaimReplayTime},
		Missing: []fairlead.Missing{
			{Claim: fairlead.DurableFsync, Reason: durable},
			{Claim: fairlead.DurableQuorum, Reason: durable},
			{Claim: fairlead.Shared, Reason: "messages that a consumer holds when it closes reach the consumers of another Open only after the component's processingTimeout"},
			{Claim: driver.ClaimOrdered, Reason: "the component's workers deliver messages concurrently"},
			{Claim: driver.ClaimOrderedByKey, Reason: "Dapr has no ordering keys"},
			{Claim: driver.ClaimBroadcast, Reason: "each subscription of a component shares its consumerID"},
			{Claim: driver.ClaimReplayPosition, Reason: "Dapr has no positions"},
			{Claim: driver.ClaimConfirmedAck, Reason: "Dapr does not confirm an acknowledgement"},
			{Claim: driver.ClaimFencedAck, Reason: "Dapr does not distinguish a delivery from an earlier one of the same message"},
			{Claim: driver.ClaimNackDelay, Reason: "Dapr stores no delays; a crash would end one early"},
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
