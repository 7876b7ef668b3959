package pubsubcases

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var (
	confirmed = []fairlead.Claim{pubsub.ConfirmedAck}
	fenced    = []fairlead.Claim{pubsub.FencedAck}
	delaying  = []fairlead.Claim{pubsub.NackDelay}
	extending = []fairlead.Claim{pubsub.Extend}
)

var leaseCases = []suite.Case{
	{Name: "pubsub/confirmed-ack", Needs: confirmed, Rule: "an acknowledgement that returned nil holds although its consumer ends right then", Run: withPipe(func(p *pipe) {
		for i := range 10 {
			p.publishTexts(fmt.Sprintf("m%d", i))
			p.sub.ackAll(p.sub.receive(1)[0])
			p.sub.close()
			p.sub = p.join()
		}
		p.sub.wantSilence("all was acknowledged before its consumer closed")
	})},
	{Name: "pubsub/confirmed-ack-elsewhere", Needs: []fairlead.Claim{pubsub.ConfirmedAck, fairlead.Shared}, Rule: "an acknowledgement that returned nil holds for every Open of the backend, although its consumer is gone", Run: func(t *suite.T) {
		p := newPipe(t, withShortLease(t))
		second := t.Open()
		doomed := &consumer{t.SubscribeOf(second, p.topic, pubsub.Group(p.group), withShortLease(t)), t}
		p.publishTexts(numberedTexts("m", 10)...)
		ds := doomed.receive(10)
		began := time.Now()
		for _, d := range ds {
			if err := d.Ack(t.Context()); err != nil && time.Since(began) < shortLease(t)/2 {
				t.Errorf("acknowledging: %v", err)
			}
		}
		slow := time.Since(began) >= shortLease(t)/2
		t.Must(second.Close(t.Context()))
		time.Sleep(shortLease(t))
		if !slow { // otherwise leases may have ended before their acknowledgement
			p.sub.wantSilence("all was acknowledged by a consumer that is gone")
		}
	}},
	{Name: "pubsub/fenced-ack", Needs: fenced, Rule: "Ack after the lease was lost fails with ErrLeaseLost, and the message stays with its new owner", Run: func(t *suite.T) {
		settleAfterLeaseLost(t, func(d *pubsub.Delivery) error { return d.Ack(t.Context()) })
	}},
	{Name: "pubsub/fenced-nack", Needs: fenced, Rule: "Nack after the lease was lost fails with ErrLeaseLost, and does not take the message from its new owner", Run: func(t *suite.T) {
		settleAfterLeaseLost(t, func(d *pubsub.Delivery) error { return d.Nack(t.Context(), 0) })
	}},
	{Name: "pubsub/fenced-extend", Needs: []fairlead.Claim{pubsub.FencedAck, pubsub.Extend}, Rule: "Extend after the lease was lost fails with ErrLeaseLost, and the message stays with its new owner", Run: func(t *suite.T) {
		settleAfterLeaseLost(t, func(d *pubsub.Delivery) error { return d.Extend(t.Context()) })
	}},
	{Name: "pubsub/fenced-self", Needs: fenced, Rule: "a consumer that gets a message again cannot settle it through the earlier delivery", Run: func(t *suite.T) {
		p := newPipe(t, withShortLease(t))
		p.publishTexts("m")
		first := p.sub.receive(1)[0]
		second := p.sub.receive(1)[0]
		t.WantCode("acknowledging the delivery from before", first.Ack(t.Context()), pubsub.ErrLeaseLost)
		third := p.sub.receive(1)[0] // comes only if the message is not settled
		if string(second.Body) != "m" || string(third.Body) != "m" {
			t.Errorf("%q and %q came, want m twice", second.Body, third.Body)
		}
	}},
	{Name: "pubsub/nack-delay", Needs: delaying, Rule: "a message that is given back with a delay comes again after it, to any consumer, and holds back no other message", Run: withPipe(nackDelay)},
	{Name: "pubsub/nack-delay-limits", Needs: delaying, Rule: "the longest delay is accepted, a longer one is Invalid and leaves the message with its consumer", Run: withPipe(func(p *pipe) {
		limit := p.Facet().Limits.MaxDelay
		p.publishTexts("a", "b")
		ds := p.sub.receive(2)
		p.WantCode("a delay over the limit", ds[0].Nack(p.Context(), limit+1), fairlead.Invalid)
		p.sub.ackAll(ds[0])
		p.sub.giveBack(ds[1], limit)
		if limit > time.Minute {
			p.sub.wantSilence("it was given back for the longest time")
		}
	})},
	{Name: "pubsub/nack-delay-order", Needs: delaying, Rule: "messages that are given back with different delays come again in the order of the delays", Run: withPipe(func(p *pipe) {
		p.publishTexts("a", "b")
		long, began := map[string]bool{}, time.Now()
		for i, d := range p.sub.receive(2) {
			long[string(d.Body)] = i == 0
			p.sub.giveBack(d, time.Duration(2-i)*700*time.Millisecond)
		}
		if first := p.sub.receiveAndAck(1)[0]; long[string(first.Body)] && time.Since(began) < 1300*time.Millisecond {
			p.Errorf("the message that was given back for 1.4 s came before the one for 0.7 s")
		}
		p.sub.receiveAndAck(1)
	})},
	{Name: "pubsub/extend", Needs: extending, Timeout: 2 * time.Minute, Rule: "a lease lasts while it is extended in time, and ends once it is no longer extended", Run: extendHolds},
	{Name: "pubsub/extend-settled", Needs: extending, Rule: "Extend of a settled delivery fails with ErrLeaseLost, and the message does not come again", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		d := p.sub.receiveAndAck(1)[0]
		p.WantCode("extending what is settled", d.Extend(p.Context()), pubsub.ErrLeaseLost)
		p.reopen()
		p.sub.wantSilence("it was acknowledged")
	})},
	{Name: "pubsub/handle-extends", Needs: extending, Full: true, Timeout: 3 * time.Minute, Rule: "while a handler runs for longer than the lease, its message and the prefetched messages come to no other consumer", Run: handleExtends},
}

// settleAfterLeaseLost lets a lease end, and settles the old delivery when the message has a
// new owner; the owner must still have it.
func settleAfterLeaseLost(t *suite.T, settle func(*pubsub.Delivery) error) {
	p := newPipe(t, withShortLease(t))
	owner := p.join()
	third := p.join()
	p.publishTexts("m")
	old := p.sub.receive(1)[0]
	d := owner.receive(1)[0]
	t.WantCode("settling after the lease was lost", settle(old), pubsub.ErrLeaseLost)
	third.wantSilence("the message has an owner")
	owner.giveBack(d, 0)
	third.wantTexts("what its owner gave back", "m")
}

func nackDelay(p *pipe) {
	const delay = 900 * time.Millisecond
	other := p.join()
	p.publishTexts("m")
	d := p.sub.receive(1)[0]
	before := time.Now()
	p.sub.giveBack(d, delay)
	waiting := other.receiveInBackground(p.Context())
	p.publishTexts("not delayed")
	r := receiveFrom(p.T, "another message comes", waiting)
	p.Must(r.err)
	if early := time.Since(before) < delay*9/10; early && string(r.d.Body) != "not delayed" {
		p.Errorf("%s came %v after it was given back for %v", r.d.Body, time.Since(before), delay)
	}
	other.ackAll(r.d)
	last := other.receiveAndAck(1)[0]
	if held := time.Since(before); held < delay*9/10 {
		p.Errorf("%s came %v after a message was given back for %v", last.Body, held, delay)
	}
	wantSame(p.T, "both messages", []string{string(r.d.Body), string(last.Body)}, []string{"m", "not delayed"})
}

// extendHolds extends a lease every quarter of its length. A run in which the
// suite itself was too slow for that proves nothing, and is repeated.
func extendHolds(t *suite.T) {
	deadline := max(shortLease(t), time.Second)
	for range 5 {
		if extendThroughLease(t, deadline) {
			return
		}
		deadline *= 2
	}
	t.Errorf("this machine is too slow for the case: in no attempt were four calls of Extend less than a lease apart")
}

func extendThroughLease(t *suite.T, deadline time.Duration) (inTime bool) {
	p := newPipe(t, pubsub.AckDeadline(deadline))
	other := p.join(pubsub.AckDeadline(deadline))
	p.publishTexts("m")
	extended := time.Now() // the lease begins after this
	d := p.sub.receive(1)[0]
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience()+5*deadline)
	defer cancel()
	waiting := other.receiveInBackground(ctx)
	var err error
	for range 8 {
		time.Sleep(deadline / 4)
		asked := time.Now()
		err = d.Extend(t.Context())
		if time.Since(extended) > deadline*9/10 {
			return false
		}
		if extended = asked; err != nil {
			t.Errorf("extending: %v", err)
			return true
		}
	}
	select {
	case r := <-waiting:
		if time.Since(extended) < deadline*9/10 {
			t.Errorf("the message came to another consumer while its lease was extended: %v", r.err)
		}
		return true
	default:
	}
	r := receiveFrom(t, "the message comes again when its lease is no longer extended", waiting)
	t.Must(r.err)
	if held := time.Since(extended); held < deadline*9/10 {
		t.Errorf("the message came %v after its lease of %v was extended", held, deadline)
	}
	return true
}

// handleExtends has a handler that takes as long as three leases. The case extends
// a lease of its own at the same pace as Handle. If that is too slow, as on a busy
// machine, the run proves nothing, and is repeated with a longer lease.
func handleExtends(t *suite.T) {
	deadline := max(shortLease(t), 1500*time.Millisecond)
	for range 3 {
		slowest := extendInBackground(t, deadline/3)
		problems := handleLongerThanLease(t, deadline)
		took := slowest()
		if len(problems) == 0 || took < deadline/3 {
			for _, problem := range problems {
				t.Errorf("with leases of %v: %s", deadline, problem)
			}
			return
		}
		deadline *= 2
	}
	t.Errorf("this machine is too slow for the case: a call of Extend ends a third of a lease of %v after it is due, or later", deadline/2)
}

// extendInBackground extends a lease of a minute on a message that no other part of
// the case uses. The function that it returns stops that and returns how late a call
// has ended at most, after the time at which it was due to begin.
func extendInBackground(t *suite.T, pause time.Duration) func() time.Duration {
	p := newPipe(t, pubsub.AckDeadline(time.Minute))
	p.publishTexts("mine")
	d := p.sub.receive(1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	slowest := make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		due := time.Now()
		for ctx.Err() == nil {
			err := d.Extend(t.Context())
			if most = max(most, time.Since(due)); err != nil {
				t.Errorf("extending: %v", err)
				break
			}
			due = time.Now().Add(pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		slowest <- most
	}()
	return func() time.Duration {
		cancel()
		return receiveFrom(t, "Extend returns", slowest)
	}
}

// handleLongerThanLease returns the faults that it found.
func handleLongerThanLease(t *suite.T, deadline time.Duration) (problems []string) {
	p := newPipe(t, pubsub.AckDeadline(deadline))
	other := p.join()
	p.publishTexts("a", "b", "c")
	var all tally
	lost := make(chan error, 3)
	stop := p.sub.handleInBackground(func(ctx context.Context, d *pubsub.Delivery) error {
		if all.count(d.Body) > 1 || all.total() > 1 {
			return nil
		}
		select {
		case <-time.After(3 * deadline):
		case <-ctx.Done():
			lost <- context.Cause(ctx)
		}
		return nil
	}, pubsub.Prefetch(2))
	all.waitUntil(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := other.receiveInBackground(ctx)
	for end := time.Now().Add(3*deadline + t.Patience()); all.total() < 3 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if got := all.texts(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"a", "b", "c"}) {
		problems = append(problems, fmt.Sprintf("the handler got %s, want three messages, each once", excerpt(got)))
	}
	select {
	case err := <-lost:
		problems = append(problems, fmt.Sprintf("the lease was lost: %v", err))
	default:
	}
	select {
	case r := <-waiting:
		if r.err == nil {
			problems = append(problems, fmt.Sprintf("%s came to another consumer while Handle had it", r.d.Body))
		}
	default:
	}
	t.Must(stop())
	return problems
}
