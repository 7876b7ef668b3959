package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

// feed is what a provider has in hand of a group: all handles of one group
// share it.
//
// The runtime has no way to give an event back: it takes the answer RETRY for
// an acknowledgement. So an event that was given back, or whose lease has
// ended, stays in hand without an answer and is delivered from here; and one
// that stays for long is renewed, see renew.
type feed struct {
	p         *provider
	topic     string
	group     string
	component string
	since     time.Time

	streams [2]lane         // of the topic itself, and of what comes again
	life    context.Context // ends when the streams are to break
	kill    context.CancelFunc
	tasks   sync.WaitGroup

	mu      sync.Mutex
	handles int
	linger  *time.Timer      // ends the feed, while there is no handle
	opened  await.Signal     // both links are there
	changed await.Signal     // something is ready, or failed
	items   map[string]*item // by uid
	ready   []*item
	leased  map[uint64]*item // by token
	recent  []string         // uids of those answered, the oldest first
	tokens  uint64
	fault   error // why there is no link
	faults  int   // failed attempts to get one
}

// lane is one of the two ways by which events come.
type lane struct {
	open  context.Context // ends when nothing more is taken
	close context.CancelFunc
	ended chan struct{} // closed at the end of its stream
	link  *link         // nil while there is none; guarded by the feed's lock
}

// item is an event in hand.
type item struct {
	arrival
	link     *link  // on which it is to be answered; nil: no longer, or not yet again
	id       string // by which it is answered there
	came     time.Time
	holder   *subscription
	token    uint64
	lease    *time.Timer
	settled  bool // acknowledged by its consumer
	answered bool // and to the runtime, at least once
	renewing bool
}

func newFeed(p *provider, c driver.SubscriptionConfig, s seat) *feed {
	f := &feed{
		p: p, topic: c.Topic, group: c.Group, component: s.component, since: s.since,
		items: map[string]*item{}, leased: map[uint64]*item{},
	}
	f.life, f.kill = context.WithCancel(context.Background())
	for i, topic := range []string{f.topic, f.again()} {
		l := &f.streams[i]
		l.open, l.close = context.WithCancel(f.life)
		l.ended = make(chan struct{})
		go func() {
			defer close(l.ended)
			f.keep(l, topic)
		}()
	}
	f.tasks.Go(f.renewAll)
	return f
}

// again is the topic of what comes again to the group. No other topic has its
// name: ~ is in none.
func (f *feed) again() string { return f.topic + "~" + f.group }

// end ends the streams, and returns when the runtime has read all answers. What
// is in hand moves to the topic of what comes again once nobody here reads
// that any more: a stream that ends with events in hand would hold up all
// subscriptions of the sidecar.
func (f *feed) end() {
	timer := time.AfterFunc(drainTimeout, f.kill)
	defer timer.Stop()
	defer f.kill()
	again := &f.streams[1]
	again.close()
	<-again.ended
	f.renew(f.due(time.Now(), 0))
	f.streams[0].close()
	<-f.streams[0].ended
	f.kill()
	f.tasks.Wait()
}

func (f *feed) up(in *lane, l *link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in.link = l
	f.fault = nil
	f.opened.Fire()
}

// linked reports whether both streams are there. The lock is held.
func (f *feed) linked() bool { return f.streams[0].link != nil && f.streams[1].link != nil }

// down notes that a stream has ended: what came by it comes again.
func (f *feed) down(in *lane, l *link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in.link = nil
	for _, it := range f.items {
		if it.link == l {
			it.link = nil
		}
	}
}

// fail notes that there is no stream.
func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
	f.faults++
	f.changed.Fire()
	f.opened.Fire()
}

// connected waits for both streams.
func (f *feed) connected(ctx context.Context) error {
	for {
		f.mu.Lock()
		if f.linked() {
			f.mu.Unlock()
			return nil
		}
		fault, opened := f.fault, f.opened.Next()
		f.mu.Unlock()
		if fault != nil {
			return fault
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return fairlead.ContextError(ctx)
		case <-f.p.life.Done():
			return errClosed
		}
	}
}

// arrive takes an event.
func (f *feed) arrive(l *link, a arrival) {
	if f.keeps(l, a) {
		return
	}
	l.answer(a.event.GetId())
}

// keeps notes an event that is to be delivered, or is in hand already. It
// reports false for one that is to be acknowledged at once.
func (f *feed) keeps(l *link, a arrival) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	it := f.items[a.uid]
	switch {
	case it != nil && it.settled:
		if !it.answered {
			f.remember(it)
		}
		return false
	case it == nil && a.before(f.since):
		return false
	case it == nil:
		it = &item{arrival: a}
		f.items[a.uid] = it
		f.offer(it)
	}
	it.link, it.id, it.came = l, a.event.GetId(), time.Now()
	return true
}

// offer makes an item ready to be received. The lock is held.
func (f *feed) offer(it *item) {
	it.holder = nil
	f.ready = append(f.ready, it)
	f.changed.Fire()
}

// take leases what is ready to a handle.
func (f *feed) take(s *subscription, limit int) (ds []driver.Delivery, changed <-chan struct{}, faults int, fault error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(limit, len(f.ready))
	for _, it := range f.ready[:n] {
		ds = append(ds, f.leaseTo(s, it))
	}
	if f.ready = f.ready[n:]; len(f.ready) == 0 {
		f.ready = nil
	}
	return ds, f.changed.Next(), f.faults, f.fault
}
