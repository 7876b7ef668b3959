package pubsubcases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

const restartTimeout = 3 * time.Minute

// restartCases hold for every backend, even for one that forgets everything: it
// reports a gap then.
var restartCases = []suite.Case{
	{Name: "pubsub/restart-receive", Control: true, Timeout: restartTimeout,
		Rule: "a Receive that waits while the backend is killed and started, or the next Receive, gets the messages that are published afterwards, or first reports a gap",
		Run:  withPipe(func(p *pipe) { p.wantSurvival(p.sub) })},
	{Name: "pubsub/restart-broadcast", Needs: broadcasts, Control: true, Timeout: restartTimeout,
		Rule: "a broadcast subscription survives a restart of the backend: it gets the messages that are published afterwards",
		Run:  withPipe(func(p *pipe) { p.wantSurvival(p.subscribe(pubsub.WithoutGroup())) })},
	{Name: "pubsub/restart-handle", Control: true, Timeout: restartTimeout,
		Rule: "Handle continues by itself through a restart of the backend", Run: withPipe(restartHandle)},
}

// durableCases makes the cases of each claim of durability.
func durableCases() []suite.Case {
	var cases []suite.Case
	for _, claim := range []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum} {
		add := func(name, rule string, run func(*suite.T), needs ...fairlead.Claim) {
			cases = append(cases, suite.Case{
				Name:  "pubsub/" + name + "-" + strings.ToLower(strings.TrimPrefix(string(claim), "Durable")),
				Needs: append([]fairlead.Claim{claim}, needs...), Rule: rule, Run: run,
				Control: name != "durable-declared", Timeout: restartTimeout,
			})
		}
		add("durable-declared", "the claim still holds after messages were published, in every Open's description", func(t *suite.T) { wantStillClaimed(t, claim) })
		add("durable-publish", "of what is published while the backend is killed and started, all that was acknowledged arrives, and of the rest only what is of unknown outcome", withPipe(durablePublish))
		add("durable-group", "a group and its place survive a kill of the backend: what it had not acknowledged comes, at the latest when leases end", durableGroup)
		add("durable-ack", "an acknowledgement that was confirmed holds after a kill of the backend", durableAck, pubsub.ConfirmedAck)
		add("durable-key", "through a kill of the backend, too, a message with a key comes only when those before it with its key were acknowledged", durableKey, pubsub.OrderedByKey)
		add("durable-atomic", "of an atomic batch that is published while the backend is killed all messages are stored or none", withPipe(durableAtomic), pubsub.AtomicBatch)
	}
	return cases
}

// recoveryTime is how long the provider may take to work again.
func recoveryTime(t *suite.T) time.Duration { return 3 * t.Patience() }

// killAndStart kills the backend, demands that publishing fails, and starts it.
func (p *pipe) killAndStart() {
	p.Must(p.Control().Kill(p.Context()))
	p.WaitUntilDown(p.Patience(), func() bool {
		_, err := p.publishOne("during")
		return err != nil
	})
	time.Sleep(silence) // so that others have calls in progress that fail, too
	p.Must(p.Control().Start(p.Context()))
}

// publishOne publishes one message.
func (p *pipe) publishOne(body string) (pubsub.Receipt, error) {
	ctx, cancel := context.WithTimeout(p.Context(), 3*time.Second)
	defer cancel()
	return p.pub.Publish(ctx, pubsub.Message{Body: []byte(body)})
}

// isOutageError is an error that a call may return because of an outage.
func isOutageError(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Unavailable, fairlead.UnknownOutcome, fairlead.DeadlineExceeded, fairlead.Compacted:
		return true
	}
	return false
}

// receiveThroughOutage receives in the background until the end of the case, calling
// again after errors that an outage excuses.
func (p *pipe) receiveThroughOutage(sub *consumer, got func(*pubsub.Delivery)) {
	ctx, cancel := context.WithCancel(p.Context())
	var running sync.WaitGroup
	p.Cleanup(func(context.Context) error { cancel(); running.Wait(); return nil })
	running.Go(func() {
		for ctx.Err() == nil {
			d, err := sub.Receive(ctx)
			switch {
			case err == nil:
				got(d)
			case ctx.Err() == nil && !isOutageError(err):
				p.Errorf("receiving through an outage: %v", err)
				return
			default:
				time.Sleep(20 * time.Millisecond)
			}
		}
	})
}

// wantSurvival demands that a subscription which waits through an outage gets the
// messages that are published after it. A backend that forgets everything may lose
// a few messages, until the provider has noticed and created the group again.
func (p *pipe) wantSurvival(sub *consumer) {
	var all tally
	p.receiveThroughOutage(sub, func(d *pubsub.Delivery) { all.count(d.Body); _ = d.Ack(p.Context()) })
	p.publishTexts("before")
	all.waitUntil(p.T, 1)
	p.killAndStart()
	p.publishUntilReceived(&all)
}

// publishUntilReceived publishes until a message arrives.
func (p *pipe) publishUntilReceived(all *tally) {
	i := 0
	p.Eventually(recoveryTime(p.T), "a subscription that waited through an outage gets what is published after it", func() bool {
		i++
		_, _ = p.publishOne(fmt.Sprintf("after%04d", i))
		time.Sleep(50 * time.Millisecond)
		return len(keepPrefix("after", all.texts())) > 0
	})
}

func restartHandle(p *pipe) {
	var all tally
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	go func() {
		ended <- p.sub.Handle(ctx, func(_ context.Context, d *pubsub.Delivery) error { all.count(d.Body); return nil },
			pubsub.Concurrency(2), pubsub.OnGap(func(err error) { p.Logf("a gap: %v", err) }))
	}()
	p.publishTexts("before")
	all.waitUntil(p.T, 1)
	p.killAndStart()
	p.publishUntilReceived(&all)
	cancel()
	if err := receiveFrom(p.T, "Handle returns", ended); err != nil {
		p.Errorf("Handle ended through an outage with %v", err)
	}
}

func wantStillClaimed(t *suite.T, claim fairlead.Claim) {
	p := newPipe(t)
	topic, err := pubsub.Open(t.Context(), t.Provider(), p.topic, pubsub.Require(claim))
	t.Must(err)
	t.Cleanup(topic.Close)
	for _, body := range numberedTexts("m", 20) {
		_, err := topic.Publish(t.Context(), pubsub.Message{Body: []byte(body)})
		t.Must(err)
	}
	p.sub.receiveAndAck(20)
	for what, provider := range map[string]fairlead.Provider{"the provider": t.Provider(), "another Open": t.Open()} {
		d, err := provider.Describe(t.Context())
		t.Must(err)
		if fd, _ := d.Facet(fairlead.PubSub); !fd.Has(claim) {
			t.Errorf("%s no longer claims %s after messages were published: %v", what, claim, fd.Missing)
		}
	}
}

// ledger holds the outcomes of publications.
type ledger struct {
	mu                   sync.Mutex
	stored, open, failed map[string]bool
}

func newLedger() *ledger {
	return &ledger{stored: map[string]bool{}, open: map[string]bool{}, failed: map[string]bool{}}
}

func (l *ledger) record(body string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch fairlead.CodeOf(err) {
	case 0:
		l.stored[body] = true
	case fairlead.UnknownOutcome:
		l.open[body] = true
	default:
		l.failed[body] = true
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.stored)
}

// publishThroughOutage runs publish in several goroutines before, during and after
// an outage, and demands successes before and after.
func (p *pipe) publishThroughOutage(l *ledger, publish func(name string)) {
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); publishing.Wait() })
	defer end()
	for i := range 4 {
		publishing.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
					publish(fmt.Sprintf("p%d-%04d-", i, j))
					time.Sleep(time.Duration(1+(3*i+j)%8) * time.Millisecond) // not in step with the others
				}
			}
		})
	}
	enough := func(what string, more int) {
		before := l.count()
		p.Eventually(recoveryTime(p.T), what, func() bool { return l.count() >= before+more })
	}
	enough("publications succeed before the outage", 20)
	p.killAndStart()
	enough("publications succeed after the outage", 20)
	end()
}

func durablePublish(p *pipe) {
	l := newLedger()
	p.publishThroughOutage(l, func(name string) {
		_, err := p.publishOne(name)
		l.record(name, err)
	})
	lost := map[string]bool{}
	for body := range l.stored {
		lost[body] = true
	}
	p.LookedFor(len(lost))
	for len(lost) > 0 {
		d := p.receiveAfterOutage(func() string { return fmt.Sprintf("%d of %d acknowledged messages are lost", len(lost), len(l.stored)) })
		body := string(d.Body)
		if l.failed[body] {
			p.Errorf("%s arrived, though its publication failed and was not of unknown outcome", body)
		}
		delete(lost, body)
	}
}

// receiveAfterOutage receives one message and acknowledges it. It tolerates the
// errors that an outage excuses, except a gap.
func (p *pipe) receiveAfterOutage(lost func() string) *pubsub.Delivery {
	deadline := time.Now().Add(recoveryTime(p.T))
	for {
		ctx, cancel := context.WithDeadline(p.Context(), deadline)
		d, err := p.sub.Receive(ctx)
		cancel()
		switch {
		case err == nil:
			if err := d.Ack(p.Context()); err != nil && !isOutageError(err) && !errors.Is(err, pubsub.ErrLeaseLost) {
				p.Errorf("acknowledging after an outage: %v", err)
			}
			return d
		case !isOutageError(err) || errors.Is(err, pubsub.ErrGap) || time.Now().After(deadline):
			p.Fatalf("%s: %v", lost(), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// leaseForOutage is an AckDeadline that a slow run does not miss, and that ends
// within a case's patience.
func leaseForOutage(t *suite.T) time.Duration {
	return max(t.Facet().Limits.MinAckDeadline, min(4*time.Second, t.Patience()))
}

func durableGroup(t *suite.T) {
	p := newPipe(t, pubsub.AckDeadline(leaseForOutage(t)))
	all := numberedTexts("m", 30)
	p.publishTexts(all[:20]...)
	done := bodies(p.sub.receiveAndAck(8))
	p.sub.receive(3) // in flight
	p.killAndStart()
	for _, body := range all[20:] {
		p.Eventually(recoveryTime(t), "publishing succeeds after the outage", func() bool {
			_, err := p.publishOne(body)
			return err == nil
		})
	}
	left := map[string]bool{}
	for _, body := range all {
		if !slices.Contains(done, body) {
			left[body] = true
		}
	}
	t.LookedFor(len(left))
	for len(left) > 0 {
		d := p.receiveAfterOutage(func() string {
			return fmt.Sprintf("%d messages of the group are lost: %v", len(left), slices.Sorted(maps.Keys(left)))
		})
		body := string(d.Body)
		if slices.Contains(done, body) && p.Facet().Has(pubsub.ConfirmedAck) {
			t.Errorf("%s comes again, its acknowledgement was confirmed before the outage", body)
		}
		delete(left, body)
	}
}

func durableAck(t *suite.T) {
	p := newPipe(t, pubsub.AckDeadline(leaseForOutage(t)))
	all := numberedTexts("m", 150)
	p.publishTexts(all...)
	l := newLedger()
	p.receiveThroughOutage(p.sub, func(d *pubsub.Delivery) {
		body := string(d.Body)
		l.mu.Lock()
		again := l.stored[body]
		l.mu.Unlock()
		if again {
			t.Errorf("%s comes again, its acknowledgement was confirmed", body)
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := d.Ack(ctx); body != "during" {
			l.record(body, err)
		}
		time.Sleep(3 * time.Millisecond) // so that the outage comes in between
	})
	t.Eventually(recoveryTime(t), "messages are acknowledged before the outage", func() bool { return l.count() >= 30 })
	p.killAndStart()
	t.Eventually(recoveryTime(t), "all messages are acknowledged after the outage, those with an unknown outcome perhaps too", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, body := range all {
			if !l.stored[body] && !l.open[body] {
				return false
			}
		}
		return true
	})
	time.Sleep(leaseForOutage(t) + 2*silence) // for the messages that come again
	t.LookedFor(l.count())
}

// keyTurns records how many messages of each key were acknowledged.
type keyTurns struct {
	t     *suite.T
	mu    sync.Mutex
	acked map[string]int
}

// ackInTurn demands that all messages before this one were acknowledged, and
// acknowledges it. The next one may come before the acknowledgement returns.
func (k *keyTurns) ackInTurn(d *pubsub.Delivery) {
	key, n := d.Key, 0
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(d.Body), key), "%d", &n); key == "" || err != nil {
		_ = d.Ack(k.t.Context())
		return
	}
	if done := k.raiseTo(key, 0); n > done {
		k.t.Errorf("message %d with the key %s came while only those before %d were acknowledged", n, key, done)
	}
	time.Sleep(4 * time.Millisecond) // for messages that come too early
	before := k.raiseTo(key, n+1)
	switch err := d.Ack(k.t.Context()); fairlead.CodeOf(err) {
	case 0, fairlead.UnknownOutcome, fairlead.DeadlineExceeded:
	default:
		k.lowerTo(key, n+1, before)
	}
}

// raiseTo raises the number of acknowledged messages of a key, and returns the
// number before.
func (k *keyTurns) raiseTo(key string, to int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.acked[key]
	k.acked[key] = max(before, to)
	return before
}

// lowerTo takes a failed acknowledgement back, unless another one succeeded.
func (k *keyTurns) lowerTo(key string, from, to int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.acked[key] == from {
		k.acked[key] = to
	}
}

func (k *keyTurns) total() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, acked := range k.acked {
		n += acked
	}
	return n
}

func durableKey(t *suite.T) {
	const keys, each = 6, 20
	p := newPipe(t, pubsub.AckDeadline(leaseForOutage(t)))
	turns := &keyTurns{t: t, acked: map[string]int{}}
	send := func(from, to int) {
		for n := from; n < to; n++ {
			for k := range keys {
				key := fmt.Sprintf("k%d-", k)
				t.Eventually(recoveryTime(t), "publishing succeeds but for an outage", func() bool {
					_, err := p.pub.Publish(t.Context(), pubsub.Message{Key: key, Body: fmt.Appendf(nil, "%s%d", key, n)})
					return err == nil
				})
			}
		}
	}
	send(0, each/2)
	for _, sub := range []*consumer{p.sub, p.join(pubsub.AckDeadline(leaseForOutage(t)))} {
		p.receiveThroughOutage(sub, turns.ackInTurn)
	}
	t.Eventually(recoveryTime(t), "messages are acknowledged before the outage", func() bool { return turns.total() >= keys })
	p.killAndStart()
	send(each/2, each)
	t.Eventually(recoveryTime(t), "all messages come and are acknowledged after the outage", func() bool { return turns.total() == keys*each })
	t.LookedFor(keys * each)
}

func durableAtomic(p *pipe) {
	const size = 6
	l := newLedger()
	p.publishThroughOutage(l, func(name string) {
		ctx, cancel := context.WithTimeout(p.Context(), 3*time.Second)
		defer cancel()
		_, err := p.pub.PublishAtomic(ctx, textMessages(numberedTexts(name, size)...)...)
		l.record(name, err)
	})
	came := map[string]map[string]bool{}
	whole := func() bool {
		for name := range l.stored {
			if len(came[name]) != size {
				return false
			}
		}
		for _, parts := range came {
			if len(parts) != size {
				return false
			}
		}
		return true
	}
	for !whole() {
		d := p.receiveAfterOutage(func() string { return "an acknowledged batch, or the rest of a batch, is lost" })
		if body := string(d.Body); body != "during" {
			name := body[:len(body)-4]
			if came[name] == nil {
				came[name] = map[string]bool{}
			}
			came[name][body] = true
		}
	}
}
