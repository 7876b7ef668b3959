package nats

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	kindPubSub = "ps"
	formPubSub = "ps1"

	pubsubBatch     = 256
	pubsubPipelines = 2
	minAckDeadline  = 100 * time.Millisecond
	maxDelay        = 30 * 24 * time.Hour
	// ackWait is the time after which the server gives the messages of a consumer
	// that is gone to other consumers. A live consumer reports in time.
	ackWait = 10 * time.Second
	// maxAckPending bounds what a group has in flight.
	maxAckPending = 65_536
	// maxWaiting bounds how many calls of Receive of a group wait at once.
	maxWaiting = 10_000
	// broadcastIdle is how long the server keeps the position of a broadcast without
	// hearing from its process.
	broadcastIdle = 15 * time.Minute
)

// pubsubSettings declares the settings that are the facet's own.
func pubsubSettings() []providers.Setting {
	return []providers.Setting{
		{Name: "retention", Kind: providers.Duration, Default: "1h", Max: int64(8760 * time.Hour),
			Help: "how long a message is kept for replay after it was published; what a group has not acknowledged is kept for as long as that takes"},
		{Name: "dedupe-window", Kind: providers.Duration, Default: "2m", Min: int64(100 * time.Millisecond), Max: int64(24 * time.Hour),
			Help: "how long a new topic remembers the ids of its messages to find duplicates; an existing topic keeps its own"},
	}
}

// pubsubFacet says what the pubsub facet promises on servers in the state st.
func (p *provider) pubsubFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.PubSub,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimOrdered, driver.ClaimOrderedByKey, driver.ClaimBroadcast,
			driver.ClaimReplayStart, driver.ClaimReplayTime, driver.ClaimReplayPosition,
			driver.ClaimNackDelay, driver.ClaimExtend, driver.ClaimDeliveryCount, driver.ClaimDedupe, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimFencedAck, Reason: "JetStream accepts an acknowledgement from every consumer that had the message before"},
			{Claim: driver.ClaimRelease, Reason: "the server counts a delivery when it sends the message"},
			{Claim: driver.ClaimAtomicBatch, Reason: "an atomic batch of JetStream fails as a whole for one duplicate"},
		},
		Limits: fairlead.Limits{
			MaxMessageBytes: int(st.maxPayload) - headerBytes, MaxBatch: pubsubBatch, Pipelines: pubsubPipelines,
			MinAckDeadline: minAckDeadline, MaxDelay: maxDelay, DedupeWindow: p.config.window,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.undurable(p.config), p.config.durabilityBasis())
	providers.SettleClaim(&f, fairlead.DurableQuorum, st.unreplicated(p.config), p.config.durabilityBasis())
	providers.SettleClaim(&f, driver.ClaimConfirmedAck, p.config.lacksConfirmedAck())
	return f
}

// lacksConfirmedAck lists what keeps acknowledgements from being as durable as
// publications.
func (c config) lacksConfirmedAck() []providers.Lack {
	if c.replicas > 1 {
		return nil
	}
	return []providers.Lack{{Reason: "with one replica, the server confirms an acknowledgement and writes it a moment later", Remedy: "open with replicas=3 on a cluster"}}
}

// topic is the stream of a topic, as it was found.
type topic struct {
	p       *provider
	name    string
	stream  string
	current atomic.Pointer[topicState]
}

// topicState changes when the topic is deleted and created again.
type topicState struct {
	epoch   string
	subject string // of messages without an ordering key
	keyed   string // what the subjects of messages with an ordering key start with
}

// openTopic finds the topic's stream, and creates it if need be.
func (p *provider) openTopic(ctx context.Context, name string) (*topic, error) {
	t := &topic{p: p, name: name, stream: p.streamName(kindPubSub, name)}
	return t, t.find(ctx)
}

func (t *topic) find(ctx context.Context) error {
	want := t.p.newStream(kindPubSub, t.name, formPubSub)
	want.Duplicates = t.p.config.window
	info, err := t.p.openStream(ctx, want)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(info.Config.Subjects[0], ">")
	t.current.Store(&topicState{epoch: info.epoch(), subject: base + "m", keyed: base + "k."})
	return nil
}

func (s *topicState) position(seq uint64) string {
	return s.epoch + "." + strconv.FormatUint(seq, 10)
}

// parsePosition returns Invalid for a malformed position. ours is false for a
// position in another topic, or in a deleted topic of the same name.
func (s *topicState) parsePosition(text string) (seq uint64, ours bool, err error) {
	epoch, number, ok := strings.Cut(text, ".")
	seq, err = strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || len(epoch) != len(s.epoch) || seq == 0 {
		return 0, false, invalid("%q is not a position of a NATS topic", brief(text))
	}
	return seq, epoch == s.epoch, nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	return p.streamNames(ctx, kindPubSub, prefix)
}

// DeleteTopic implements the pubsub driver's Provider.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	if err := p.deleteStream(ctx, p.streamName(kindPubSub, name)); err != nil {
		return err
	}
	return p.deleteLayers(ctx, name)
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	if err := p.deleteConsumer(ctx, p.streamName(kindPubSub, topic), groupConsumer(group)); err != nil {
		return err
	}
	return p.deleteRecords(ctx, topic, group)
}

func groupConsumer(group string) string { return "g-" + dotless(group) }

// deleteConsumer is idempotent, so that a lost answer does no harm.
func (p *provider) deleteConsumer(ctx context.Context, stream, consumer string) error {
	err := p.callAPI(ctx, "CONSUMER.DELETE."+stream+"."+consumer, nil, nil, true)
	if isAPI(err, codeStreamNotFound, codeConsumerNotFound) {
		return nil
	}
	return err
}
