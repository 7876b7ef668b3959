package etcd

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	// maxWaiting bounds the messages of a group that wait for another one with
	// their ordering key.
	maxWaiting = 1000
	// maxPending bounds the messages of a group that are not acknowledged.
	maxPending = 100_000
	// receiveAtOnce bounds the messages that one transaction hands out: each may
	// have a megabyte.
	receiveAtOnce = 63

	// takeAhead is how many messages a group keeps ready, taken and held by nobody.
	takeAhead = 64
	// keptBody bounds the bodies of messages that are kept until they are handed out.
	keptBody = 16 << 10
	// readBytes bounds roughly what one request reads of new messages.
	readBytes = 4 << 20

	pauseAfterFailure    = 50 * time.Millisecond // doubles with each further one
	maxPauseAfterFailure = time.Second
)

// group hands out the messages of a group to all subscriptions of this process, or
// the messages of a broadcast to its one subscription. Two goroutines serve it: one keeps
// the ledger up to date, the other hands out messages, to all calls of Receive that
// wait in one transaction. So the transactions of a process do not conflict, and
// their number does not grow with its consumers.
type group struct {
	p     *provider
	keys  topicKeys
	name  string // empty for a broadcast
	life  *providers.Lifetime
	turn  chan struct{}     // holds a token while messages are handed out
	wake  providers.Trigger // wakes the goroutine that hands out
	again providers.Trigger // asks for the state to be read again

	mu             sync.Mutex
	users          int
	members        map[string]*subscription // by name
	requests       []*request
	ledger         *ledger
	loaded         bool
	failure        error   // why the state could not be read; nil if it could
	lost           bool    // the topic was deleted or lost
	reports        []error // each for one Receive
	seen           int64   // the newest revision that was read
	topicCreated   int64   // the revision at which the topic was created; 0: not known
	leases         uint64
	takeAfter      time.Time // no message is taken ahead before that
	contendedUntil time.Time // other processes conflict
	average        int       // the size of a message
	refused        int       // transactions in a row
	settled        int       // acknowledgements since the last trim
	memory         int64     // counts the changes of a broadcast; a group uses etcd's revision
}

// request is a Receive that waits.
type request struct {
	s       *subscription
	limit   int
	done    chan result // takes one result
	serving bool        // messages are being taken for it
	left    bool        // the caller has given up
}

type result struct {
	out    []driver.Delivery
	leases []uint64
	err    error
}

func (p *provider) newGroup(k topicKeys, name string) *group {
	g := &group{
		p: p, keys: k, name: name, life: p.life.Child("subscription"),
		turn: make(chan struct{}, 1), wake: providers.NewTrigger(), again: providers.NewTrigger(),
		members: map[string]*subscription{}, average: 512 << 10,
	}
	g.ledger = newLedger(g.dueAt)
	return g
}

// isBroadcast reports whether the state is in memory only.
func (g *group) isBroadcast() bool { return g.name == "" }

// groups are the groups that have subscriptions in this process.
type groups struct {
	mu   sync.Mutex
	open map[string]*group // by the prefix of the group's state
}

// join adds a subscription to its group.
func (p *provider) joinGroup(s *subscription, k topicKeys, name string) *group {
	p.groups.mu.Lock()
	defer p.groups.mu.Unlock()
	at := k.state(name)
	g := p.groups.open[at]
	if g == nil {
		g = p.newGroup(k, name)
		if p.groups.open == nil {
			p.groups.open = map[string]*group{}
		}
		p.groups.open[at] = g
		g.start()
	}
	g.add(s)
	return g
}

func (g *group) start() {
	g.life.Go(g.follow)
	g.life.Go(g.serve)
}

func (g *group) add(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users++
	g.members[s.name] = s
}

// leave removes a subscription that has given back its messages. The last one
// ends the group's goroutines.
func (g *group) leave(s *subscription) {
	groups := &g.p.groups
	groups.mu.Lock()
	g.mu.Lock()
	delete(g.members, s.name)
	g.users--
	last := g.users == 0
	if last && !g.isBroadcast() && groups.open[g.keys.state(g.name)] == g {
		delete(groups.open, g.keys.state(g.name))
	}
	g.mu.Unlock()
	groups.mu.Unlock()
	if last {
		g.life.Drain()
	}
}

// dueAt returns when a pending message may be handed out. The lease of another
// process ends by its clock. A lease of this process that no delivery has, since
// the answer that granted it was lost, ends at once.
func (g *group) dueAt(e *entry) time.Time {
	if e.leaseRev == 0 && !e.ours { // a process holds it in its memory
		return e.since.Add(g.longestLease() + g.p.config.clockSkew)
	}
	if e.lease.Owner == "" && e.lease.Due == 0 {
		return time.Time{}
	}
	due := time.UnixMilli(e.lease.Due)
	s, member := g.members[e.lease.Owner]
	switch {
	case e.lease.Owner == "":
		return due
	case member && !s.holds(e.lease.Lease), !member && e.ours:
		return time.Time{}
	case !member:
		return due.Add(g.p.config.clockSkew)
	}
	return due
}

// longestLease returns how long the longest lease of the subscriptions lasts.
func (g *group) longestLease() (longest time.Duration) {
	for _, s := range g.members {
		longest = max(longest, s.lease)
	}
	return longest
}

// isUnreturned reports whether a message is leased to a subscription of this
// process, which never got it: the delivery does not count.
func (g *group) isUnreturned(e *entry) bool {
	s, member := g.members[e.lease.Owner]
	return member && !s.holds(e.lease.Lease)
}

// enqueue adds a call of Receive.
func (g *group) enqueue(s *subscription, limit int) *request {
	r := &request{s: s, limit: limit, done: make(chan result, 1)}
	g.mu.Lock()
	g.requests = append(g.requests, r)
	g.mu.Unlock()
	g.wake.Fire()
	return r
}

// withdraw removes a call of Receive, and returns false if messages are being
// taken for it.
func (g *group) withdraw(r *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.serving {
		return false
	}
	g.drop(r)
	return true
}

// drop removes a request from the queue. The lock is held.
func (g *group) drop(r *request) {
	for i, other := range g.requests {
		if other == r {
			g.requests = append(g.requests[:i:i], g.requests[i+1:]...)
			return
		}
	}
}

// serve hands out messages until the group ends.
func (g *group) serve() {
	for failures := 0; g.awaitWork(); {
		g.trimIfDue()
		g.passReports()
		err := g.handOut()
		if err == nil {
			failures = 0
			continue
		}
		g.failRequests(err)
		pause := min(pauseAfterFailure<<min(failures, 10), maxPauseAfterFailure)
		providers.Pause(g.life.Context(), pause/2+rand.N(pause/2))
		failures++
	}
}

// awaitWork waits until messages can be handed out, or something is to be
// reported. It returns false when the group ends.
func (g *group) awaitWork() bool {
	for {
		work, at := g.work(time.Now())
		if work {
			return g.life.Err() == nil
		}
		if g.life.Wait(context.Background(), g.wake.Fired(), at) != nil {
			return false
		}
	}
}

// work reports whether there is something to do; if not, at is when that changes
// by itself; zero for never.
func (g *group) work(now time.Time) (work bool, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.ledger
	switch {
	case g.settled >= trimEvery, g.mayTakeAhead(now):
		return true, at
	case len(g.requests) == 0:
		return false, g.nextTake(now)
	case g.failure != nil, g.lost, len(g.reports) > 0:
		return true, at
	case !g.loaded:
		return false, at
	case !l.topic, l.nextRev == 0, l.damaged, l.newest+1 < l.next, g.mayTake():
		return true, at
	}
	due, ok := l.nextDue()
	return ok && !due.After(now), due
}

// mayTakeAhead reports whether there are messages to be taken before a Receive asks
// for them. A group that has taken them can deliver them when the database is
// full.
func (g *group) mayTakeAhead(now time.Time) bool {
	l := g.ledger
	return !g.isBroadcast() && g.loaded && g.failure == nil && !g.lost && l.topic && l.nextRev != 0 && !l.damaged &&
		now.After(g.takeAfter) && now.After(g.contendedUntil) && g.mayTake() && l.countDue(now, takeAhead) < takeAhead
}

// nextTake returns when messages are taken ahead again after a failure or conflict;
// zero if there was none.
func (g *group) nextTake(now time.Time) (at time.Time) {
	for _, t := range []time.Time{g.takeAfter, g.contendedUntil} {
		if t.After(now) && t.After(at) {
			at = t.Add(time.Millisecond)
		}
	}
	return at
}

// mayTake reports whether there are messages that the group has not taken, and
// room for them.
func (g *group) mayTake() bool {
	l := g.ledger
	return l.newest >= l.next && l.waiting < maxWaiting && len(l.entries) < maxPending
}

// failRequests ends all calls of Receive that wait.
func (g *group) failRequests(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.requests {
		r.done <- result{err: err}
	}
	g.requests = nil
}

// passReports ends a call of Receive that waits with each report.
func (g *group) passReports() {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.reports), len(g.requests))
	for i, r := range g.requests[:n] {
		r.done <- result{err: g.reports[i]}
	}
	g.reports, g.requests = g.reports[n:], g.requests[n:]
}

// isBusy reports whether a message with an ordering key is pending.
func (g *group) isBusy(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ledger.lanes[key]) > 0
}

// trimIfDue deletes messages that are no longer needed after every so many
// acknowledgements. Publishers do so, too; but a publisher is refused when the
// database is full.
func (g *group) trimIfDue() {
	g.mu.Lock()
	due, newest := g.settled >= trimEvery, g.ledger.newest
	if due {
		g.settled = 0
	}
	g.mu.Unlock()
	if due {
		_ = g.p.trimTopic(g.life.Context(), g.keys, newest) // after a failure, the next one trims
	}
}

// handoutSize is how many messages one transaction hands out: it writes two keys
// for each, and the position.
func (p *provider) handoutSize() int {
	return max(1, min(receiveAtOnce, (int(p.prober.txnOps.Load())-1)/2))
}

// takeRequests begins to serve the calls of Receive that wait. It returns them, and how
// many messages they want together.
func (g *group) takeRequests() (requests []*request, want int) {
	most := g.p.handoutSize()
	for _, r := range g.requests {
		if want >= most {
			break
		}
		r.serving = true
		requests = append(requests, r)
		want += r.limit
	}
	return requests, min(want, most)
}

// finish ends the serving of requests that got nothing.
func (g *group) finish(requests []*request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range requests {
		r.serving = false
		if r.left {
			g.drop(r)
		}
	}
}
