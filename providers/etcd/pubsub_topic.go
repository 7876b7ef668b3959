package etcd

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// sendBytes bounds the messages of one transaction.
const sendBytes = 1_200_000

// senders are the topics that a provider publishes to.
type senders struct {
	mu     sync.Mutex
	byName map[string]*sender
}

// sender publishes to one topic for all handles of a provider, one call at a
// time, so that the calls do not conflict.
type sender struct {
	p    *provider
	keys topicKeys
	turn chan struct{} // holds a token while a call publishes

	// The topic as last seen. Only the call whose turn it is uses these fields.
	known    bool
	newest   uint64
	revision int64     // of the sequence; 0: the topic does not exist
	trimmed  time.Time // when the database was full
}

func (p *provider) sender(name string) *sender {
	p.senders.mu.Lock()
	defer p.senders.mu.Unlock()
	s := p.senders.byName[name]
	if s == nil {
		s = &sender{p: p, keys: p.topicKeys(name), turn: make(chan struct{}, 1)}
		if p.senders.byName == nil {
			p.senders.byName = map[string]*sender{}
		}
		p.senders.byName[name] = s
	}
	return s
}

// topic is a handle for publishing.
type topic struct {
	*sender
	life *providers.Lifetime
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	if err := p.createTopic(ctx, p.topicKeys(c.Name)); err != nil {
		return nil, err
	}
	return &topic{sender: p.sender(c.Name), life: p.life.Child("topic")}, nil
}

// createTopic creates a topic, unless it exists.
func (p *provider) createTopic(ctx context.Context, k topicKeys) error {
	// A full database refuses every transaction that might write.
	found, err := p.readRange(ctx, &pb.RangeRequest{Key: k.sequence, KeysOnly: true})
	if err != nil || len(found.Kvs) > 0 {
		return err
	}
	newest, err := p.lastMessage(ctx, k) // not 0 if somebody deleted the sequence
	if err != nil {
		return err
	}
	_, err = p.commitTxn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(k.sequence, 0)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: k.sequence, Value: formatNumber(newest)})},
	})
	return asUnavailable(err, "creating the topic")
}

// asUnavailable returns the error of a write that does no harm if it was applied.
func asUnavailable(err error, what string) error {
	if fairlead.CodeOf(err) == fairlead.UnknownOutcome {
		return fairlead.Errorf(fairlead.Unavailable, "%s: %w", what, err)
	}
	return err
}

// Close implements the pubsub driver's Topic.
func (t *topic) Close(context.Context) error {
	t.life.End()
	return nil
}

// Send implements the pubsub driver's Topic.
func (t *topic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	fail := func(err error) []driver.SendResult {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	if err := t.life.Err(); err != nil {
		return fail(err)
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return fail(fairlead.ContextError(ctx))
	}
	for part, rest := t.countNextPart(msgs), 0; rest < len(msgs); part = t.countNextPart(msgs[rest:]) {
		t.sendPart(ctx, msgs[rest:rest+part], results[rest:rest+part])
		rest += part
	}
	return results
}

// countNextPart returns how many messages go into the next transaction.
func (t *topic) countNextPart(msgs []driver.Message) (n int) {
	most, bytes := min(maxSend, int(t.p.prober.txnOps.Load())-1), 0
	for n < len(msgs) && n < most {
		size := len(msgs[n].Body)
		for name, value := range msgs[n].Metadata {
			size += len(name) + len(value) + 8
		}
		if bytes += size; n > 0 && bytes > sendBytes {
			break
		}
		n++
	}
	return n
}

// sendPart stores messages in one transaction.
func (t *topic) sendPart(ctx context.Context, msgs []driver.Message, results []driver.SendResult) {
	now := time.Now()
	var live []int
	for i, m := range msgs {
		if !m.Deadline.IsZero() && now.After(m.Deadline) {
			results[i].Err = fairlead.Errorf(fairlead.DeadlineExceeded, "the deadline passed %v before the message was sent", now.Sub(m.Deadline))
			continue
		}
		live = append(live, i)
	}
	if len(live) == 0 {
		return
	}
	first, err := t.storeMessages(ctx, msgs, live, now)
	for n, i := range live {
		if err != nil {
			results[i].Err = err
			continue
		}
		position := strconv.FormatUint(first+uint64(n), 10)
		results[i].ID, results[i].Position = msgs[i].ID, position
		if msgs[i].ID == "" {
			results[i].ID = position
		}
	}
	if err == nil && (first+uint64(len(live)))/trimEvery > first/trimEvery {
		_ = t.p.trimTopic(ctx, t.keys, t.newest) // after a failure, the next call trims
	}
}

// storeMessages returns the number of the first message. A transaction that
// found another sequence did nothing, and is tried again with that sequence.
func (t *topic) storeMessages(ctx context.Context, msgs []driver.Message, live []int, now time.Time) (first uint64, err error) {
	for refused := 0; ; refused++ {
		if !t.known {
			if err := t.readSequence(ctx); err != nil {
				return 0, err
			}
		}
		resp, err := t.p.commitTxn(ctx, t.publication(msgs, live, now))
		switch {
		case err != nil:
			t.known = false
			if isFull(err) {
				t.trimFull(ctx)
			}
			return 0, err
		case resp.Succeeded:
			first, t.newest, t.revision = t.newest+1, t.newest+uint64(len(live)), resp.Header.Revision
			return first, nil
		}
		if err := t.adoptSequence(ctx, resp.Responses[0].GetResponseRange().GetKvs()); err != nil {
			return 0, err
		}
		if refused > 0 { // publishers of several processes take turns
			providers.Pause(ctx, rand.N(time.Millisecond<<min(refused, 6)))
		}
	}
}

// publication returns the transaction that stores messages. It is refused if the
// sequence has changed, or is wrong: no message is overwritten.
func (t *topic) publication(msgs []driver.Message, live []int, now time.Time) *pb.TxnRequest {
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{isAt(t.keys.sequence, t.revision), isAt(t.keys.message(t.newest+1), 0)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: t.keys.sequence, Value: formatNumber(t.newest + uint64(len(live)))})},
		Failure: []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: t.keys.sequence})},
	}
	for n, i := range live {
		r.Success = append(r.Success, putOp(&pb.PutRequest{Key: t.keys.message(t.newest + 1 + uint64(n)), Value: encodeMessage(msgs[i], now)}))
	}
	return r
}

// readSequence reads the number of the newest message.
func (s *sender) readSequence(ctx context.Context) error {
	r, err := s.p.readRange(ctx, &pb.RangeRequest{Key: s.keys.sequence})
	if err != nil {
		return err
	}
	s.revision = -1 // none
	return s.adoptSequence(ctx, r.Kvs)
}

// adoptSequence notes the sequence that was found. One that is missing, cannot be
// read, or was found unchanged by a transaction that it refused, is wrong: then the
// messages that are kept say where to go on.
func (s *sender) adoptSequence(ctx context.Context, kvs []*mvccpb.KeyValue) (err error) {
	var revision int64
	newest, ok := uint64(0), false
	for _, kv := range kvs {
		revision = kv.ModRevision
		newest, ok = parseNumber(string(kv.Value))
	}
	if !ok || revision == s.revision {
		if newest, err = s.p.lastMessage(ctx, s.keys); err != nil {
			return err
		}
	}
	s.known, s.newest, s.revision = true, newest, revision
	return nil
}

// trimFull deletes what is not needed when the database is full, at most once in a
// second.
func (s *sender) trimFull(ctx context.Context) {
	if time.Since(s.trimmed) < time.Second {
		return
	}
	s.trimmed = time.Now()
	if r, err := s.p.readRange(ctx, &pb.RangeRequest{Key: s.keys.sequence}); err == nil {
		for _, kv := range r.Kvs {
			newest, _ := parseNumber(string(kv.Value))
			_ = s.p.trimTopic(ctx, s.keys, newest) // there may be nothing to delete
		}
	}
}

const (
	keptMessages = 1000 // of every topic
	trimEvery    = 500  // messages
)

// trimTopic deletes messages that every group has acknowledged, except the newest
// ones. It does nothing if a group was created meanwhile, since the group might
// need them.
func (p *provider) trimTopic(ctx context.Context, k topicKeys, newest uint64) error {
	if newest <= keptMessages {
		return nil
	}
	needed := newest - keptMessages + 1
	groups, err := p.readRange(ctx, &pb.RangeRequest{Key: []byte(k.groups), RangeEnd: prefixEnd(k.groups), KeysOnly: true})
	if err != nil {
		return err
	}
	for _, kv := range groups.Kvs {
		oldest, err := p.oldestNeeded(ctx, k, strings.TrimPrefix(string(kv.Key), k.groups))
		if err != nil {
			return err
		}
		needed = min(needed, oldest)
	}
	if needed == 0 {
		return nil
	}
	_, err = p.commitTxn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte(k.groups), RangeEnd: prefixEnd(k.groups), Target: pb.Compare_CREATE, Result: pb.Compare_LESS,
			TargetUnion: &pb.Compare_CreateRevision{CreateRevision: groups.Header.Revision + 1},
		}},
		Success: []*pb.RequestOp{deleteOp(&pb.DeleteRangeRequest{Key: k.message(0), RangeEnd: k.message(needed)})},
	})
	return err
}

// oldestNeeded returns the number of the oldest message that a group needs; 0 if
// that is not known.
func (p *provider) oldestNeeded(ctx context.Context, k topicKeys, group string) (uint64, error) {
	pending := k.state(group) + "pending/"
	r, err := p.readTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp(&pb.RangeRequest{Key: k.position(group)}),
		rangeOp(&pb.RangeRequest{Key: []byte(pending), RangeEnd: prefixEnd(pending), Limit: 1, KeysOnly: true}),
	}})
	if err != nil {
		return 0, err
	}
	var oldest uint64
	for _, kv := range r.Responses[0].GetResponseRange().GetKvs() {
		oldest, _ = parseNumber(string(kv.Value))
	}
	for _, kv := range r.Responses[1].GetResponseRange().GetKvs() {
		number, _ := k.parseState(group, kv.Key)
		oldest = min(oldest, number)
	}
	return oldest, nil
}
