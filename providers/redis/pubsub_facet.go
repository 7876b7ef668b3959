package redis

import (
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	maxMessageBytes = 8 << 20
	// deadLetterRoom is by how much a dead letter may exceed the published limit.
	deadLetterRoom = 2048
	// maxSendBytes keeps one call below the server's limit for the commands that
	// a client has pending (client-query-buffer-limit, 1 GiB).
	maxSendBytes   = 512 << 20
	minAckDeadline = 10 * time.Millisecond
	maxDelay       = 365 * 24 * time.Hour

	// With pubsubPipelines calls at once, the next call is collected while one
	// waits for the server's disk.
	pubsubPipelines = 2
)

// pubsubConfig is the part of the URL that concerns the pubsub facet.
type pubsubConfig struct {
	retention time.Duration
	window    time.Duration
}

func newPubsubConfig(s providers.Settings) pubsubConfig {
	return pubsubConfig{retention: s.Duration("retention"), window: s.Duration("dedupe-window")}
}

// pubsubSettings declares the settings of the pubsub facet.
func pubsubSettings() []providers.Setting {
	return []providers.Setting{
		{Name: "retention", Kind: providers.Duration, Default: "1h", Max: int64(maxDelay),
			Help: "how long a message is kept for replay and broadcast after its publication; messages that a group has not acknowledged are kept longer. Must be the same for all users of a topic"},
		{Name: "dedupe-window", Kind: providers.Duration, Default: "2m", Max: int64(maxDelay),
			Help: "the least time for which the ID of a message is remembered to find duplicates; 0 turns deduplication off. Must be the same for all publishers of a topic"},
	}
}

// pubsubFacet describes what the pubsub facet guarantees on servers in the
// state st.
func (p *provider) pubsubFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.PubSub,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimOrdered, driver.ClaimBroadcast, driver.ClaimAtomicBatch, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{missingQuorum},
		Limits: fairlead.Limits{
			MaxMessageBytes: st.maxBulk(maxMessageBytes+deadLetterRoom) - deadLetterRoom, MaxBatch: maxBatch, Pipelines: pubsubPipelines,
			MinAckDeadline: minAckDeadline, MaxDelay: maxDelay, DedupeWindow: p.config.pubsub.window,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.durabilityLacks(p.config), st.durabilityBasis())
	for _, c := range []fairlead.Claim{
		driver.ClaimOrderedByKey, driver.ClaimReplayStart, driver.ClaimReplayTime, driver.ClaimReplayPosition,
		driver.ClaimConfirmedAck, driver.ClaimFencedAck, driver.ClaimNackDelay, driver.ClaimExtend, driver.ClaimRelease,
		driver.ClaimDeliveryCount,
	} {
		providers.SettleClaim(&f, c, st.lossLacks())
	}
	providers.SettleClaim(&f, driver.ClaimDedupe, append(p.config.pubsub.dedupeLacks(), st.expiryLacks()...))
	return f
}

func (c pubsubConfig) dedupeLacks() []providers.Lack {
	if c.window > 0 {
		return nil
	}
	return []providers.Lack{{Reason: "the setting dedupe-window is 0", Remedy: "open the provider with dedupe-window=2m"}}
}
