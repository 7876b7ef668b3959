package etcd

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// handout is one transaction that hands out messages to the calls of Receive that
// wait.
type handout struct {
	g        *group
	now      time.Time
	requests []*request
	left     []int // how many messages each request still takes
	want     int
	room     bool // for new messages

	plain  bool // deletes only: leases are kept in memory
	items  []item
	txn    *pb.TxnRequest
	next   uint64   // the new position; 0: unchanged
	at     int64    // the revision of the position on which the handout is based
	lost   []uint64 // pending messages that are gone
	report []error  // for the subscriptions of the group
}

// item is a message in a handout.
type item struct {
	number   uint64
	key      string // of a new message
	known    entry  // the entry as it was; its rev is 0 for a new message
	lease    leaseRecord
	request  int // -1: the message is held by nobody
	drop     bool
	delivery driver.Delivery
}

// handOut hands out messages once: first messages that come again, then new ones.
func (g *group) handOut() error {
	ctx := g.life.Context()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return g.life.Err()
	}
	h := &handout{g: g, now: time.Now()}
	due, step, err := h.begin()
	defer func() { g.finish(h.requests) }()
	switch {
	case err != nil:
		return err
	case step != nil:
		return step(ctx)
	case len(due) > 0:
		err = h.addDue(ctx, due)
	case h.room:
		err = h.addNew(ctx)
	}
	if err == nil && h.txn != nil {
		err = h.commit(ctx, len(due) > 0)
	}
	switch {
	case isFull(err) && len(due) > 0:
		h.plain = true
		h.dropUnheld()
		h.prepareTxn()
		if h.txn != nil {
			err = h.commit(ctx, true)
		}
	case len(h.requests) == 0 && err != nil: // it was to take ahead
		g.mu.Lock()
		g.takeAfter, err = time.Now().Add(time.Second), nil
		g.mu.Unlock()
	}
	return err
}

// dropUnheld leaves out the messages that another process holds in its memory:
// they can be taken by a put only.
func (h *handout) dropUnheld() {
	h.items = slices.DeleteFunc(h.items, func(it item) bool { return !it.drop && it.known.leaseRev == 0 && !it.known.ours })
}

// begin decides what to do: to hand out messages that come again, new ones if due
// is empty, or something else first.
func (h *handout) begin() (due []entry, step func(context.Context) error, err error) {
	g := h.g
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.ledger
	switch {
	case len(g.requests) == 0 && !g.mayTakeAhead(h.now):
		return nil, nil, nil
	case g.failure != nil:
		return nil, nil, g.failure
	case !g.loaded:
		return nil, nil, nil
	case g.lost, !l.topic:
		return nil, g.recreate, nil
	case l.nextRev == 0:
		return nil, g.checkGroup, nil
	case l.damaged:
		return nil, g.repairPosition, nil
	}
	h.requests, h.want = g.takeRequests()
	for _, r := range h.requests {
		h.left = append(h.left, r.limit)
	}
	for _, e := range l.due(h.now, h.want) {
		due = append(due, *e)
	}
	switch {
	case len(due) > 0:
	case l.newest+1 < l.next:
		first, last, at := l.newest+1, l.next-1, l.nextRev
		return nil, func(ctx context.Context) error { return g.moveTo(ctx, at, first, lostMessages(first, last)) }, nil
	case g.mayTake():
		h.room = true
	}
	return due, nil, nil
}

// assign gives a message to the request that has the fewest so far, and returns
// its index; -1 if there is none.
func (h *handout) assign() int {
	best := -1
	for i, left := range h.left {
		taken := h.requests[i].limit - left
		if left > 0 && (best < 0 || taken < h.requests[best].limit-h.left[best]) {
			best = i
		}
	}
	if best >= 0 {
		h.left[best]--
	}
	return best
}

// leaseItem leases a message to the subscription of a request. It returns false if
// no request takes one more.
func (h *handout) leaseItem(it *item, d driver.Delivery) bool {
	if it.request = h.assign(); it.request < 0 {
		return false
	}
	g, s := h.g, h.requests[it.request].s
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leases++
	attempt := it.known.lease.Attempt
	if it.known.rev == 0 || !g.isUnreturned(&it.known) {
		attempt++
	}
	it.lease = leaseRecord{Owner: s.name, Lease: g.leases, Due: milliseconds(h.now.Add(s.lease)), Attempt: attempt}
	it.delivery = newDelivery(d, it.number, attempt, g.leases)
	return true
}

// addDue hands out messages that come again, or were taken ahead. Those that are
// gone, or cannot be read, are dropped and reported.
func (h *handout) addDue(ctx context.Context, due []entry) error {
	found, err := h.g.p.readDue(ctx, h.g.keys, due)
	if err != nil {
		return err
	}
	for i, e := range due {
		it := item{number: e.number, known: e, request: -1}
		if e.delivery == nil && found[i] == nil {
			it.drop, h.lost = true, append(h.lost, e.number)
		} else if d, err := e.message(found[i]); err != nil {
			it.drop, h.report = true, append(h.report, unreadableMessage(e.number))
		} else if !h.leaseItem(&it, d) {
			continue
		}
		h.items = append(h.items, it)
	}
	if len(h.lost) > 0 {
		h.report = append(h.report, lostMessages(slices.Min(h.lost), slices.Max(h.lost)))
	}
	h.prepareTxn()
	return nil
}

// message returns the message of an entry, which was kept or read.
func (e *entry) message(kv *mvccpb.KeyValue) (driver.Delivery, error) {
	if e.delivery != nil {
		return *e.delivery, nil
	}
	return decodeMessage(kv.Value)
}

// readDue reads the messages that come again. One that is gone, or that is not to
// be read since it is known, is nil.
func (p *provider) readDue(ctx context.Context, k topicKeys, due []entry) ([]*mvccpb.KeyValue, error) {
	r, found := &pb.TxnRequest{}, make([]*mvccpb.KeyValue, len(due))
	var indexes []int
	for i, e := range due {
		if e.delivery == nil {
			indexes = append(indexes, i)
			r.Success = append(r.Success, rangeOp(&pb.RangeRequest{Key: k.message(e.number)}))
		}
	}
	if len(indexes) == 0 {
		return found, nil
	}
	resp, err := p.readTxn(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(resp.Responses) != len(indexes) {
		return nil, unexpected("another number of results")
	}
	for n, i := range indexes {
		for _, kv := range resp.Responses[n].GetResponseRange().GetKvs() {
			found[i] = kv
		}
	}
	return found, nil
}

// addNew takes messages that the group has not taken, and hands them out as far as
// there are requests. A message waits while another one with its ordering key is pending.
func (h *handout) addNew(ctx context.Context) error {
	g := h.g
	next, last, room, newest := h.nextRange()
	found, err := g.p.readMessages(ctx, g.keys, next, last)
	if err != nil {
		return err
	}
	busy, bytes := map[string]bool{}, 0
	for number := next; number <= last && room > 0; number++ {
		kv := found[number]
		if kv == nil {
			return h.endAtGap(ctx, number, newest)
		}
		d, err := decodeMessage(kv.Value)
		if err != nil {
			if len(h.items) == 0 {
				h.report, h.next = append(h.report, unreadableMessage(number)), number+1
			}
			break // the next handout reports it
		}
		bytes += len(kv.Value)
		it := item{number: number, key: d.Key, request: -1}
		waits := d.Key != "" && (busy[d.Key] || g.isBusy(d.Key))
		if waits {
			room--
		} else {
			h.leaseItem(&it, d)
		}
		if it.request < 0 && len(kv.Value) <= keptBody {
			it.known.delivery = &d
		}
		if d.Key != "" {
			busy[d.Key] = true
		}
		h.items, h.next = append(h.items, it), number+1
	}
	g.learnSize(bytes, len(h.items))
	h.prepareTxn()
	return nil
}

// nextRange returns the numbers of the messages that are read next, and how many
// may wait for others with their ordering key.
func (h *handout) nextRange() (next, last uint64, room int, newest uint64) {
	g := h.g
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.ledger
	h.at = l.nextRev
	n := max(h.want, 1)
	if h.now.After(g.contendedUntil) {
		n = max(n, readBytes/max(g.average, 1))
	}
	n = min(n, g.p.handoutSize())
	return l.next, min(l.newest, l.next+uint64(n)-1), maxWaiting - l.waiting, l.newest
}

// learnSize notes the size of messages that were read.
func (g *group) learnSize(bytes, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > 0 {
		g.average = (g.average + bytes/n) / 2
	}
}

// endAtGap ends a handout before messages that are gone. If it has no messages, it
// reports them and goes on after them.
func (h *handout) endAtGap(ctx context.Context, first, newest uint64) error {
	if len(h.items) == 0 {
		number, err := h.g.p.firstMessage(ctx, h.g.keys, first)
		if err != nil {
			return err
		}
		if number == 0 {
			number = newest + 1
		}
		h.report, h.next = append(h.report, lostMessages(first, number-1)), number
	}
	h.prepareTxn()
	return nil
}

// prepareTxn makes the transaction of the items. It is refused if another process
// has changed what the items are based on.
func (h *handout) prepareTxn() {
	g, r := h.g, &pb.TxnRequest{}
	if h.next != 0 {
		key := g.keys.position(g.name)
		r.Compare = append(r.Compare, isAt(key, h.at))
		r.Success = append(r.Success, putOp(&pb.PutRequest{Key: key, Value: formatNumber(h.next)}))
		r.Failure = append(r.Failure, rangeOp(&pb.RangeRequest{Key: key}))
	}
	for _, it := range h.items {
		pending, lease := g.keys.pending(g.name, it.number), g.keys.lease(g.name, it.number)
		if it.known.rev != 0 {
			r.Compare = append(r.Compare, isAt(pending, it.known.rev), isAt(lease, it.known.leaseRev))
			r.Failure = append(r.Failure, rangeOp(pendingRange(pending, lease)))
		} else {
			r.Success = append(r.Success, putOp(&pb.PutRequest{Key: pending, Value: encodeRecord(pendingRecord{Key: it.key})}))
		}
		switch {
		case it.drop:
			r.Success = append(r.Success, deleteOp(deletePending(pending, lease)))
		case !h.plain:
			r.Success = append(r.Success, putOp(&pb.PutRequest{Key: lease, Value: encodeRecord(it.lease)}))
		case it.known.leaseRev != 0:
			r.Success = append(r.Success, deleteOp(&pb.DeleteRangeRequest{Key: lease}))
		}
	}
	if h.txn = r; len(h.items) == 0 && h.next == 0 {
		h.txn = nil
	}
}

// commit carries out the transaction, and delivers the messages.
func (h *handout) commit(ctx context.Context, due bool) error {
	g := h.g
	if g.isBroadcast() {
		h.deliver(ctx, g.nextChange())
		return nil
	}
	resp, err := g.p.commitTxn(ctx, h.txn)
	switch {
	case err != nil:
		return asUnavailable(err, "taking messages")
	case resp.Succeeded:
		h.deliver(ctx, resp.Header.Revision)
		return nil
	}
	g.countRefusal(ctx)
	if due {
		for i, it := range h.items {
			g.adopt(it.number, resp.Responses[i].GetResponseRange().GetKvs(), resp.Header.Revision)
		}
		return nil
	}
	g.awaitOthers(ctx, h.txn.Compare[0].GetModRevision())
	return nil
}

// deliver notes a transaction that was carried out, and gives the messages to
// their requests. Those that nobody takes any more are given back.
func (h *handout) deliver(ctx context.Context, rev int64) {
	g := h.g
	results := make([]result, len(h.requests))
	var unwanted []item
	g.mu.Lock()
	l := g.ledger
	g.refused = 0
	g.reports = append(g.reports, h.report...)
	if h.next != 0 && l.nextRev < rev {
		l.next, l.nextRev, l.damaged = h.next, rev, false
	}
	for _, it := range h.items {
		if it.drop {
			l.remove(it.number, rev)
			continue
		}
		if it.request >= 0 {
			req := h.requests[it.request]
			if _, ok := g.members[req.s.name]; ok && !req.left {
				req.s.held[it.lease.Lease] = false
				r := &results[it.request]
				r.out, r.leases = append(r.out, it.delivery), append(r.leases, it.lease.Lease)
			} else {
				unwanted = append(unwanted, it)
			}
		}
		if it.known.rev == 0 {
			l.setPending(it.number, pendingRecord{Key: it.key}, rev)
		}
		if h.plain {
			l.keep(it.number, it.lease, rev)
		} else {
			l.setLease(it.number, it.lease, rev)
		}
		if e := l.entries[it.number]; e != nil {
			e.delivery = nil
			if it.request < 0 {
				e.delivery = it.known.delivery
			}
			l.list(e) // the watch may have shown the lease before it was held
		}
	}
	for i, r := range h.requests {
		if len(results[i].out) > 0 {
			g.drop(r)
			r.done <- results[i]
		}
	}
	g.mu.Unlock()
	g.giveBackItems(ctx, unwanted)
}

// giveBackItems gives back messages that were taken for calls of Receive that have
// ended. If that fails, they come again when their leases end.
func (g *group) giveBackItems(ctx context.Context, items []item) {
	by := map[string][]driver.Settlement{}
	for _, it := range items {
		by[it.lease.Owner] = append(by[it.lease.Owner], driver.Settlement{Token: it.delivery.Token, Kind: driver.Release})
	}
	for owner, all := range by {
		g.settle(ctx, owner, all)
	}
}

// maxRefused is how many transactions in a row may be refused until the state is
// read again.
const maxRefused = 32

// contendedFor is how long after a conflict with another process nothing is taken
// before a Receive asks for it: every process would hand it out at once.
const contendedFor = time.Second

// countRefusal pauses after a transaction that was refused, so that processes that
// conflict take turns.
func (g *group) countRefusal(ctx context.Context) {
	g.mu.Lock()
	if g.refused++; g.refused%maxRefused == 0 {
		g.reload()
	}
	g.contendedUntil = time.Now().Add(contendedFor)
	most := time.Millisecond << min(g.refused, 6)
	g.mu.Unlock()
	providers.Pause(ctx, rand.N(most))
}

// awaitOthers waits until the watch shows the change of another process, for which
// a transaction at a revision was refused.
func (g *group) awaitOthers(ctx context.Context, rev int64) {
	defer g.wake.Fire() // what the wait below has taken
	deadline := time.Now().Add(time.Second)
	for {
		g.mu.Lock()
		changed := g.ledger.nextRev != rev || g.failure != nil || !g.loaded
		if !changed && !time.Now().Before(deadline) {
			changed = true
			g.reload()
		}
		g.mu.Unlock()
		switch {
		case changed:
			return
		case g.life.Wait(ctx, g.wake.Fired(), deadline) != nil:
			return
		}
	}
}

// moveTo sets the position of a group, which has a revision, and reports why.
func (g *group) moveTo(ctx context.Context, at int64, next uint64, report error) error {
	h := &handout{g: g, at: at, next: next, report: []error{report}}
	h.prepareTxn()
	return h.commit(ctx, false)
}

// repairPosition sets a position that cannot be read to the oldest message that
// the group may not have taken.
func (g *group) repairPosition(ctx context.Context) error {
	g.mu.Lock()
	next, at := g.ledger.newestPending()+1, g.ledger.nextRev
	g.mu.Unlock()
	number, err := g.p.firstMessage(ctx, g.keys, next)
	if err != nil {
		return err
	}
	next = max(next, number)
	return g.moveTo(ctx, at, next, fairlead.Errorf(fairlead.Internal, "the position of the group cannot be read; it goes on with message %d, and messages may come again", next))
}

// checkGroup finds out why a group does not exist: because it was deleted, or
// with its topic.
func (g *group) checkGroup(ctx context.Context) error {
	r, err := g.p.readRange(ctx, &pb.RangeRequest{Key: g.keys.sequence})
	if err != nil {
		return err
	}
	g.mu.Lock()
	known := g.topicCreated
	g.mu.Unlock()
	if len(r.Kvs) == 0 || r.Kvs[0].CreateRevision != known {
		return g.recreate(ctx)
	}
	return fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
}

// recreate creates a topic again that was deleted or lost, with the group, and
// reports the gap.
func (g *group) recreate(ctx context.Context) error {
	if err := g.p.createTopic(ctx, g.keys); err != nil {
		return err
	}
	next, err := g.p.createGroup(ctx, g.keys, g.name, driver.SubscriptionConfig{Start: driver.StartEarliest})
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost, g.topicCreated = false, 0
	g.reports = append(g.reports, fairlead.Errorf(fairlead.Compacted, "the topic was deleted or lost, with what it held"))
	if g.isBroadcast() {
		g.begin(next)
	}
	g.reload()
	return nil
}

// readMessages reads the messages from first to last, by number. Other keys are
// ignored.
func (p *provider) readMessages(ctx context.Context, k topicKeys, first, last uint64) (map[uint64]*mvccpb.KeyValue, error) {
	r, err := p.readRange(ctx, &pb.RangeRequest{Key: k.message(first), RangeEnd: append(k.message(last), 0)})
	if err != nil {
		return nil, err
	}
	found := make(map[uint64]*mvccpb.KeyValue, len(r.Kvs))
	for _, kv := range r.Kvs {
		if number, ok := k.number(kv.Key); ok {
			found[number] = kv
		}
	}
	return found, nil
}

// firstMessage returns the number of the first message from a number on; 0 if
// there is none.
func (p *provider) firstMessage(ctx context.Context, k topicKeys, from uint64) (uint64, error) {
	r := &pb.RangeRequest{Key: k.message(from), RangeEnd: prefixEnd(k.messages), Limit: 16, KeysOnly: true}
	for {
		found, err := p.readRange(ctx, r)
		if err != nil {
			return 0, err
		}
		for _, kv := range found.Kvs {
			if number, ok := k.number(kv.Key); ok {
				return number, nil
			}
			r.Key = append(kv.Key, 0)
		}
		if !found.More {
			return 0, nil
		}
	}
}
