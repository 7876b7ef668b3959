package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// An operator can change a stream or a consumer of ours with other tools. A setting
// that takes a guarantee away is refused when the store, topic or group is opened,
// and logged when it is changed later. docs/providers/nats.md lists them.

// streamSettings are settings of a stream that we never set, and that take
// guarantees away.
type streamSettings struct {
	PersistMode      string          `json:"persist_mode,omitempty"`
	NoAck            bool            `json:"no_ack,omitempty"`
	Sealed           bool            `json:"sealed,omitempty"`
	DenyDelete       bool            `json:"deny_delete,omitempty"`
	DenyPurge        bool            `json:"deny_purge,omitempty"`
	DiscardNewPer    bool            `json:"discard_new_per_subject,omitempty"`
	Counter          bool            `json:"allow_msg_counter,omitempty"`
	Mirror           json.RawMessage `json:"mirror,omitempty"`
	Sources          json.RawMessage `json:"sources,omitempty"`
	SubjectTransform json.RawMessage `json:"subject_transform,omitempty"`
	ConsumerLimits   *consumerLimits `json:"consumer_limits,omitempty"`
}

// consumerLimits are what a stream demands of its consumers.
type consumerLimits struct {
	Inactive      time.Duration `json:"inactive_threshold,omitempty"`
	MaxAckPending int           `json:"max_ack_pending,omitempty"`
}

// setting is one that a stream or a consumer has, and what it would do.
type setting struct {
	is   bool
	name string // with its value
	does string
}

// firstOf returns an error for the first setting that is, and nil if none is.
func firstOf(what string, settings []setting) error {
	for _, s := range settings {
		if s.is {
			return invalid("%s has %s: %s; undo it, or delete it", what, s.name, s.does)
		}
	}
	return nil
}

// checkStream returns why the stream got cannot be used for what want would be
// created for.
func checkStream(got, want streamConfig) error {
	switch {
	case got.Metadata[metaForm] != want.Metadata[metaForm] || got.Metadata[metaEpoch] == "" || len(got.Subjects) == 0:
		return invalid("the stream %q exists and is not one of this provider, or of another version; delete it, or open with another prefix", got.Name)
	case got.Replicas != want.Replicas:
		return invalid("the stream %q exists with %d replicas, and the setting \"replicas\" is %d; make them equal", got.Name, got.Replicas, want.Replicas)
	case got.Storage != want.Storage:
		return invalid("the stream %q is kept in %s; delete it, or open with another prefix", got.Name, got.Storage)
	case got.Duplicates < want.Duplicates:
		return invalid("the topic in the stream %q remembers ids for %v, less than the setting \"dedupe-window\", %v; make them equal", got.Name, got.Duplicates, want.Duplicates)
	}
	return firstOf(fmt.Sprintf("the stream %q", got.Name), slices.Concat(got.lossy(want), got.unusable(want)))
}

// lossy are the settings by which a stream loses what it has acknowledged.
func (c streamConfig) lossy(want streamConfig) []setting {
	dropsOld := c.Discard != "new"
	return []setting{
		{c.PersistMode != "" && c.PersistMode != "default", "persist_mode " + c.PersistMode, "it acknowledges what a kill of the server loses"},
		{c.MaxAge > 0, "max_age " + c.MaxAge.String(), "it drops what was not read or deleted"},
		{dropsOld && c.MaxMsgs > 0, fmt.Sprintf("max_msgs %d with discard old", c.MaxMsgs), "it drops what was not read or deleted"},
		{dropsOld && c.MaxBytes > 0, fmt.Sprintf("max_bytes %d with discard old", c.MaxBytes), "it drops what was not read or deleted"},
		{c.Retention != want.Retention, "retention " + c.Retention, "it drops what not every group has read"},
		{max(c.MaxMsgsPerSubject, -1) != want.MaxMsgsPerSubject && !(c.MaxMsgsPerSubject <= 0 && want.MaxMsgsPerSubject <= 0), fmt.Sprintf("max_msgs_per_subject %d", c.MaxMsgsPerSubject), "it is kept otherwise than it was created"},
		{c.ConsumerLimits != nil && c.ConsumerLimits.Inactive > 0, "consumer_limits with an inactive_threshold", "groups are forgotten"},
		{len(c.Sources) > 0, "sources", "it has messages of other streams"},
	}
}

// unusable are the settings by which a stream does not do what it was created for.
func (c streamConfig) unusable(want streamConfig) []setting {
	return []setting{
		{len(c.Subjects) != 1 || !strings.HasSuffix(c.Subjects[0], ".>"), "other subjects", "messages do not arrive"},
		{len(c.Mirror) > 0, "mirror", "it takes no messages"},
		{len(c.SubjectTransform) > 0, "subject_transform", "messages are not found"},
		{c.NoAck, "no_ack", "no write is answered"},
		{c.Sealed, "sealed", "it takes no messages"},
		{c.DenyDelete, "deny_delete", "nothing can be removed on a full server"},
		{c.DenyPurge, "deny_purge", "what is past the retention, and deleted groups, stay"},
		{c.DiscardNewPer, "discard_new_per_subject", "keys cannot be overwritten"},
		{c.Counter, "allow_msg_counter", "it takes no values"},
		{c.MaxMsgSize > 0 && c.MaxMsgSize < leastPayload, fmt.Sprintf("max_msg_size %d", c.MaxMsgSize), fmt.Sprintf("it takes less than the %d bytes that are promised", leastPayload)},
		{want.AllowMsgTTL && !c.AllowMsgTTL, "no allow_msg_ttl", "keys cannot expire"},
		{want.AllowAtomic && !c.AllowAtomic, "no allow_atomic", "there are no transactions"},
		{want.MarkerTTL > 0 && c.MarkerTTL <= 0, "no subject_delete_marker_ttl", "watchers miss keys that expire"},
	}
}

// checkConsumer returns why a group cannot be used: its consumer was changed.
// replicas is the number of servers that hold the stream.
func checkConsumer(group string, c consumerConfig, replicas int) error {
	return firstOf(fmt.Sprintf("the consumer of the group %q", group), []setting{
		{c.AckPolicy != "explicit", "ack_policy " + c.AckPolicy, "messages are not acknowledged one by one"},
		{c.MaxDeliver > 0, fmt.Sprintf("max_deliver %d", c.MaxDeliver), "messages that were not handled are dropped"},
		{c.Filter != "" || len(c.Filters) > 0, "a filter", "messages are left out"},
		{c.HeadersOnly, "headers_only", "messages come without their bodies"},
		{c.Memory, "mem_storage", "a restart of the server forgets what was acknowledged"},
		{c.Inactive > 0, "inactive_threshold " + c.Inactive.String(), "the group is forgotten"},
		{c.Replicas > 0 && c.Replicas < replicas, fmt.Sprintf("num_replicas %d", c.Replicas), fmt.Sprintf("fewer servers than the %d of the topic hold what was acknowledged", replicas)},
		{c.AckWait > 0 && c.AckWait < ackWait, "ack_wait " + c.AckWait.String(), fmt.Sprintf("it is less than %v, and messages come again while they are handled", ackWait)},
		{len(c.BackOff) > 0, "backoff", "messages come again while they are handled"},
		{c.RateLimit > 0 || c.Deliver != "", "rate_limit_bps or deliver_subject", "it cannot be pulled from"},
		{c.Replay != "instant", "replay_policy " + c.Replay, "messages come as slowly as they were published"},
		{c.MaxAckPending > 0 && c.MaxAckPending < maxAckPending, fmt.Sprintf("max_ack_pending %d", c.MaxAckPending), fmt.Sprintf("it is less than %d, and the group stops while messages wait for a retry", maxAckPending)},
		{c.MaxWaiting > 0 && c.MaxWaiting < maxWaiting, fmt.Sprintf("max_waiting %d", c.MaxWaiting), "it refuses our requests"},
		{len(c.PriorityGroups) > 0, "priority_groups", "it refuses our requests"},
		{c.MaxBatch > 0 && c.MaxBatch < pubsubBatch, fmt.Sprintf("max_batch %d", c.MaxBatch), "it refuses our requests"},
		{c.MaxExpires > 0 && c.MaxExpires < pullExpires, "max_expires " + c.MaxExpires.String(), "it refuses our requests"},
	})
}

// checkOpenStreams logs settings that take guarantees away and were changed since
// the store, topic or group was opened; once each.
func (p *provider) checkOpenStreams() {
	ctx, cancel := context.WithTimeout(p.life.Context(), probeTimeout)
	defer cancel()
	checks := map[string]func() error{}
	for _, h := range p.handles.All() {
		switch h := h.(type) {
		case *storeHandle:
			want := p.newStoreStream(kindKV, h.name, formKV)
			checks[want.Name] = func() error { return p.checkOpenStream(ctx, want) }
		case interface{ opened() *topic }:
			want := p.newStream(kindPubSub, h.opened().name, formPubSub)
			want.Duplicates = p.config.window
			checks[want.Name] = func() error { return p.checkOpenStream(ctx, want) }
		}
		if s, ok := h.(*subscription); ok && s.group != "" {
			checks[s.stream+" "+s.consumer] = func() error { return p.checkOpenGroup(ctx, s) }
		}
	}
	for name, check := range checks {
		problem := ""
		if err := check(); err != nil {
			problem = err.Error()
		}
		if problem != "" && p.warned[name] != problem {
			p.logger.Warn("nats: a guarantee is lost: a setting was changed", slog.String("stream", name), slog.String("problem", problem))
		}
		p.warned[name] = problem
	}
}

// checkOpenStream returns what is wrong with a stream that is open. If the server
// does not tell it, it returns nil: what uses the stream reports that.
func (p *provider) checkOpenStream(ctx context.Context, want streamConfig) error {
	info, err := p.streamInfo(ctx, want.Name)
	if err != nil {
		return nil
	}
	if want.AllowDirect && !info.Config.AllowDirect {
		return invalid("the stream %q has no allow_direct any more: reads get no answer; turn it on, or open the store again", want.Name)
	}
	return checkStream(info.Config, want)
}

// checkOpenGroup does for a group what checkOpenStream does for a stream.
func (p *provider) checkOpenGroup(ctx context.Context, s *subscription) error {
	info, err := p.consumerInfo(ctx, s.stream, s.consumer)
	if err != nil {
		return nil
	}
	return checkConsumer(s.group, info.Config, p.config.replicas)
}
