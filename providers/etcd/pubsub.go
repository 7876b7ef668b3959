package etcd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	maxMessageBytes = 1_000_000
	maxSend         = 100
	maxDelay        = 365 * 24 * time.Hour
)

// pubsubFacet says what the pubsub facet promises on a cluster in the state st.
func (p *provider) pubsubFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.PubSub,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimOrdered, driver.ClaimOrderedByKey, driver.ClaimBroadcast,
			driver.ClaimReplayStart, driver.ClaimReplayPosition, driver.ClaimConfirmedAck, driver.ClaimFencedAck,
			driver.ClaimNackDelay, driver.ClaimExtend, driver.ClaimDeliveryCount, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimReplayTime, Reason: "etcd has no clock, and the clocks of publishers may differ"},
			{Claim: driver.ClaimDedupe, Reason: "ids are not kept"},
			{Claim: driver.ClaimAtomicBatch, Reason: "a batch may need more than one transaction"},
		},
		Limits: fairlead.Limits{
			MaxMessageBytes: maxMessageBytes, MaxBatch: maxSend, Pipelines: 1,
			MinAckDeadline: 100 * time.Millisecond, MaxDelay: maxDelay,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.undurable(p.config))
	providers.SettleClaim(&f, fairlead.DurableQuorum, st.unreplicated(p.config))
	return f
}

// topicKeys are the keys of a topic in etcd.
type topicKeys struct {
	sequence []byte // the number of the newest message
	groups   string // prefix of the states of groups
	messages string // prefix of the messages
}

// topicKeys returns the keys of a topic.
func (p *provider) topicKeys(name string) topicKeys {
	root := p.config.prefix + "/ps/" + name
	return topicKeys{
		sequence: []byte(p.config.prefix + "/ps-topics/" + name),
		groups:   root + "/group/",
		messages: root + "/message/",
	}
}

func (k topicKeys) group(name string) []byte { return []byte(k.groups + name) }

// message returns the key of a message. The keys are in the order of the
// numbers.
func (k topicKeys) message(number uint64) []byte {
	return fmt.Appendf(nil, "%s%020d", k.messages, number)
}

// number returns the number of the message at a key.
func (k topicKeys) number(key []byte) uint64 {
	n, _ := strconv.ParseUint(strings.TrimLeft(strings.TrimPrefix(string(key), k.messages), "0"), 10, 64)
	return n
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	from := p.topicKeys(prefix).sequence
	r, err := p.readRange(ctx, &pb.RangeRequest{Key: from, RangeEnd: prefixEnd(string(from)), KeysOnly: true})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(r.Kvs))
	for i, kv := range r.Kvs {
		names[i] = strings.TrimPrefix(string(kv.Key), string(p.topicKeys("").sequence))
	}
	return names, nil
}

// DeleteTopic implements the pubsub driver's Provider.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	k := p.topicKeys(name)
	_, err := p.commitTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		deleteOp(&pb.DeleteRangeRequest{Key: k.sequence}),
		deleteOp(&pb.DeleteRangeRequest{Key: []byte(k.groups), RangeEnd: prefixEnd(k.groups)}),
		deleteOp(&pb.DeleteRangeRequest{Key: []byte(k.messages), RangeEnd: prefixEnd(k.messages)}),
	}})
	return err
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	_, err := p.commitTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		deleteOp(&pb.DeleteRangeRequest{Key: p.topicKeys(topic).group(group)}),
	}})
	return err
}
