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
			driver.ClaimNackDelay, driver.ClaimExtend, driver.ClaimRelease, driver.ClaimDeliveryCount, driver.ClaimManage,
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
	providers.SettleClaim(&f, fairlead.DurableFsync, st.undurable(p.config), st.durabilityBasis())
	providers.SettleClaim(&f, fairlead.DurableQuorum, st.unreplicated(p.config), st.durabilityBasis())
	return f
}

// topicKeys are the keys of a topic in etcd.
type topicKeys struct {
	sequence []byte // the number of the newest message
	groups   string // prefix of the names of groups
	states   string // prefix of the states of groups
	messages string // prefix of the messages
}

// topicKeys returns the keys of a topic.
func (p *provider) topicKeys(name string) topicKeys {
	root := p.config.prefix + "/ps/" + name
	return topicKeys{
		sequence: []byte(p.config.prefix + "/ps-topics/" + name),
		groups:   root + "/group/",
		states:   root + "/state/",
		messages: root + "/message/",
	}
}

// group returns the key that says that a group exists. It is never changed.
func (k topicKeys) group(name string) []byte { return []byte(k.groups + name) }

// state returns the prefix of the state of a group.
func (k topicKeys) state(group string) string { return k.states + group + "/" }

// position returns the key of a group's position.
func (k topicKeys) position(group string) []byte { return []byte(k.state(group) + "next") }

// pending returns the key that says that a group has taken a message.
func (k topicKeys) pending(group string, number uint64) []byte {
	return fmt.Appendf(nil, "%spending/%020d", k.state(group), number)
}

// lease returns the key that says who holds a pending message.
func (k topicKeys) lease(group string, number uint64) []byte {
	return append(k.pending(group, number), "/lease"...)
}

// pendingRange returns the range of a pending message and its lease.
func pendingRange(pending, lease []byte) *pb.RangeRequest {
	return &pb.RangeRequest{Key: pending, RangeEnd: append(lease, 0)}
}

// deletePending deletes a pending message and its lease.
func deletePending(pending, lease []byte) *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: pending, RangeEnd: append(lease, 0)}
}

// statePart says what a key of a group's state is.
type statePart int

const (
	unknownPart statePart = iota
	positionPart
	pendingPart
	leasePart
)

// parseState returns what a key of a group's state is, and of which message.
func (k topicKeys) parseState(group string, key []byte) (number uint64, part statePart) {
	rest, ok := strings.CutPrefix(string(key), k.state(group))
	if !ok {
		return 0, unknownPart
	}
	if rest == "next" {
		return 0, positionPart
	}
	digits, ok := strings.CutPrefix(rest, "pending/")
	digits, leased := strings.CutSuffix(digits, "/lease")
	if number, isNumber := parseDigits(digits); ok && isNumber {
		if leased {
			return number, leasePart
		}
		return number, pendingPart
	}
	return 0, unknownPart
}

// message returns the key of a message. The keys are in the order of the
// numbers.
func (k topicKeys) message(number uint64) []byte {
	return fmt.Appendf(nil, "%s%020d", k.messages, number)
}

// number returns the number of the message at a key. It returns false for a key
// of another form.
func (k topicKeys) number(key []byte) (uint64, bool) {
	digits, ok := strings.CutPrefix(string(key), k.messages)
	if !ok {
		return 0, false
	}
	return parseDigits(digits)
}

// parseDigits reads a number of twenty digits. No message has the number 0.
func parseDigits(digits string) (uint64, bool) {
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && len(digits) == 20 && n > 0 && digits[0] != '+'
}

func formatNumber(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

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
		deleteOp(&pb.DeleteRangeRequest{Key: []byte(k.states), RangeEnd: prefixEnd(k.states)}),
		deleteOp(&pb.DeleteRangeRequest{Key: []byte(k.messages), RangeEnd: prefixEnd(k.messages)}),
	}})
	return err
}

// DeleteGroup implements the pubsub driver's Provider.
func (p *provider) DeleteGroup(ctx context.Context, topic, group string) error {
	k := p.topicKeys(topic)
	state := k.state(group)
	_, err := p.commitTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		deleteOp(&pb.DeleteRangeRequest{Key: k.group(group)}),
		deleteOp(&pb.DeleteRangeRequest{Key: []byte(state), RangeEnd: prefixEnd(state)}),
	}})
	return err
}
