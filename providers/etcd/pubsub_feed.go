package etcd

import (
	"context"
	"math"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// loadAtOnce is how many keys one request reads of a group's state.
const loadAtOnce = 1000

// follow keeps the ledger up to date until the group ends: it reads the state, and
// then watches it.
func (g *group) follow() {
	for failures := 0; g.life.Err() == nil; failures++ {
		watched, err := g.loadAndWatch()
		if watched > steadyAfter {
			failures = 0
		}
		// The first end of a stream is not reported: the state may be read at once.
		if err != nil && (watched == 0 || failures > 0) && fairlead.CodeOf(err) != fairlead.Compacted {
			g.setFailure(err)
		}
		providers.Pause(g.life.Context(), min(watchRetry<<min(failures, 10), maxPauseAfterFailure))
	}
}

// steadyAfter is how long a stream lasts that did not fail at once.
const steadyAfter = 5 * time.Second

// loadAndWatch reads the state and watches it, until that fails or the state is to
// be read again. It returns how long it has watched.
func (g *group) loadAndWatch() (watched time.Duration, err error) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(g.life.Context()))
	defer cancel()
	g.life.Go(func() {
		select {
		case <-g.again.Fired():
			cancel()
		case <-ctx.Done():
		}
	})
	if err := g.load(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil
		}
		return 0, err
	}
	began := time.Now()
	err = g.watch(ctx)
	if ctx.Err() != nil {
		return steadyAfter + 1, nil
	}
	return time.Since(began), err
}

// reload asks for the state to be read again. No message is handed out before
// that. The lock is held.
func (g *group) reload() {
	g.loaded = false
	g.again.Fire()
}

func (g *group) setFailure(err error) {
	g.mu.Lock()
	g.failure = err
	g.mu.Unlock()
	g.wake.Fire()
}

// snapshot is the state of a group at one revision.
type snapshot struct {
	revision int64
	sequence *mvccpb.KeyValue // nil: there is no topic
	state    []*mvccpb.KeyValue
}

// load reads the state.
func (g *group) load(ctx context.Context) error {
	s, err := g.readSnapshot(ctx)
	if err != nil {
		return streamEnded(ctx, err)
	}
	newest, err := g.p.newestOf(ctx, g.keys, s.sequence)
	if err != nil {
		return streamEnded(ctx, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.revision < g.seen {
		g.reports = append(g.reports, fairlead.Errorf(fairlead.Compacted, "the cluster is at revision %d and has lost its history up to %d", s.revision, g.seen))
	}
	g.seen = s.revision
	if !g.isBroadcast() {
		old := g.ledger
		g.ledger = newLedger(g.dueAt)
		g.ledger.seen = s.revision
		for _, kv := range s.state {
			g.showState(kv, false)
		}
		g.ledger.keepNewer(old, s.revision)
	}
	g.showSequence(s.sequence, newest)
	g.loaded, g.failure = true, nil
	g.wake.Fire()
	return nil
}

// readSnapshot reads the state at one revision, in parts.
func (g *group) readSnapshot(ctx context.Context) (s snapshot, err error) {
	state := &pb.RangeRequest{Key: []byte(g.keys.state(g.name)), RangeEnd: prefixEnd(g.keys.state(g.name)), Limit: loadAtOnce}
	r := &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: g.keys.sequence})}}
	if !g.isBroadcast() {
		r.Success = append(r.Success, rangeOp(state))
	}
	resp, err := g.p.readTxn(ctx, r)
	if err != nil {
		return s, err
	}
	s.revision = resp.Header.Revision
	for _, kv := range resp.Responses[0].GetResponseRange().GetKvs() {
		s.sequence = kv
	}
	if g.isBroadcast() {
		return s, nil
	}
	page := resp.Responses[1].GetResponseRange()
	for {
		s.state = append(s.state, page.GetKvs()...)
		if !page.GetMore() {
			return s, nil
		}
		state.Key, state.Revision = append(page.Kvs[len(page.Kvs)-1].Key, 0), s.revision
		if page, err = g.p.readRange(ctx, state); err != nil {
			return s, err
		}
	}
}

// showSequence notes the topic and its newest message. The lock is held.
func (g *group) showSequence(kv *mvccpb.KeyValue, newest uint64) {
	switch {
	case kv == nil:
		g.ledger.topic, g.lost = false, true
		return
	case g.topicCreated != 0 && g.topicCreated != kv.CreateRevision:
		g.lost = true
	}
	g.ledger.topic, g.ledger.newest, g.topicCreated = true, newest, kv.CreateRevision
}

// showState notes a key of the group's state. The lock is held.
func (g *group) showState(kv *mvccpb.KeyValue, deleted bool) {
	l, rev := g.ledger, kv.ModRevision
	number, part := g.keys.parseState(g.name, kv.Key)
	switch {
	case part == positionPart && l.nextRev >= rev:
	case part == positionPart && deleted:
		l.nextRev = 0
	case part == positionPart:
		next, ok := parseNumber(string(kv.Value))
		l.next, l.nextRev, l.damaged = next, rev, !ok || next == 0
	case part == pendingPart && deleted:
		l.showRemoved(number, rev)
	case part == pendingPart:
		r, _ := decodePending(kv.Value)
		l.setPending(number, r, rev)
	case part == leasePart && deleted:
		l.endLease(number, rev)
	case part == leasePart:
		r, _ := decodeLease(kv.Value)
		l.setLease(number, r, rev)
	}
}

// watch shows the changes after a reading, until the stream ends.
func (g *group) watch(ctx context.Context) error {
	g.mu.Lock()
	after := g.seen
	g.mu.Unlock()
	stream, err := g.p.watch.Watch(ctx)
	if err != nil {
		return streamEnded(ctx, err)
	}
	requests := []*pb.WatchCreateRequest{{Key: g.keys.sequence, StartRevision: after + 1}}
	if !g.isBroadcast() {
		state := g.keys.state(g.name)
		requests = append(requests, &pb.WatchCreateRequest{Key: []byte(state), RangeEnd: prefixEnd(state), StartRevision: after + 1})
	}
	for _, r := range requests {
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
			return streamEnded(ctx, err)
		}
	}
	for {
		resp, err := stream.Recv()
		switch {
		case err != nil:
			return streamEnded(ctx, err)
		case resp.CompactRevision != 0:
			return fairlead.Errorf(fairlead.Compacted, "the history was compacted up to revision %d", resp.CompactRevision)
		case resp.Canceled:
			return fairlead.Errorf(fairlead.Unavailable, "the server ended the watch: %s", resp.CancelReason)
		case resp.Created && resp.Header.Revision < after:
			if err := g.checkHistory(ctx, after); err != nil {
				return err
			}
		}
		if err := g.show(ctx, resp.Events); err != nil {
			return err
		}
	}
}

// checkHistory fails if the cluster does not know a revision that it once gave. A
// follower may lag.
func (g *group) checkHistory(ctx context.Context, revision int64) error {
	r, err := g.p.readRange(ctx, &pb.RangeRequest{Key: g.keys.sequence, KeysOnly: true})
	if err == nil && r.Header.Revision < revision {
		err = fairlead.Errorf(fairlead.Compacted, "the cluster has lost its history")
	}
	return err
}

// show notes events of the watch.
func (g *group) show(ctx context.Context, events []*mvccpb.Event) error {
	if len(events) == 0 {
		return nil
	}
	defer g.wake.Fire()
	if string(events[0].Kv.Key) == string(g.keys.sequence) { // each watch has responses of its own
		return g.showSequenceEvents(ctx, events)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range events {
		g.showState(e.Kv, e.Type == mvccpb.Event_DELETE)
		g.seen = max(g.seen, e.Kv.ModRevision)
	}
	g.ledger.seen = max(g.ledger.seen, g.seen)
	return nil
}

func (g *group) showSequenceEvents(ctx context.Context, events []*mvccpb.Event) error {
	for _, e := range events {
		kv := e.Kv
		if e.Type == mvccpb.Event_DELETE {
			kv = nil
		}
		newest, err := g.p.newestOf(ctx, g.keys, kv)
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.showSequence(kv, newest)
		g.mu.Unlock()
	}
	return nil
}

// newestOf returns the number of the newest message that a topic's sequence says.
// If it cannot be read, it is the number of the last message that is kept.
func (p *provider) newestOf(ctx context.Context, k topicKeys, sequence *mvccpb.KeyValue) (uint64, error) {
	if sequence == nil {
		return 0, nil
	}
	if n, ok := parseNumber(string(sequence.Value)); ok {
		return n, nil
	}
	return p.lastMessage(ctx, k)
}

// lastMessage returns the number of the last message that is kept; 0 for none.
func (p *provider) lastMessage(ctx context.Context, k topicKeys) (uint64, error) {
	r, err := p.readRange(ctx, &pb.RangeRequest{
		Key: []byte(k.messages), RangeEnd: prefixEnd(k.messages), KeysOnly: true,
		SortOrder: pb.RangeRequest_DESCEND, SortTarget: pb.RangeRequest_KEY,
	})
	for _, kv := range r.GetKvs() {
		if number, ok := k.number(kv.Key); ok {
			return number, err
		}
	}
	return 0, err
}

// nextChange numbers a change of a broadcast. The ledger's revisions of a group are
// etcd's.
func (g *group) nextChange() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.memory++
	return g.memory
}

// begin sets where a broadcast begins. The lock is held.
func (g *group) begin(next uint64) {
	newest := g.ledger.newest
	g.ledger = newLedger(g.dueAt)
	g.memory++
	g.ledger.next, g.ledger.nextRev, g.ledger.newest, g.ledger.topic = next, g.memory, newest, true
	g.ledger.seen = math.MaxInt64 // there is no watch of the state
}
