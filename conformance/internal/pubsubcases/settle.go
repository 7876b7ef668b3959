package pubsubcases

import (
	"context"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var settleCases = []suite.Case{
	{Name: "pubsub/ack-final", Rule: "an acknowledged message does not come again, also not to a consumer that joins later", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("m", 30)...)
		p.sub.receiveAndAck(30)
		p.sub.wantSilence("all messages are acknowledged")
		p.reopen()
		p.publishTexts("new")
		p.sub.wantTexts("a consumer that joins after all was acknowledged", "new")
		p.sub.wantSilence("all messages are acknowledged")
	})},
	{Name: "pubsub/ack-own", Rule: "an acknowledgement settles only its own message: neither older nor newer ones", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("m", 5)...)
		ds := p.sub.receive(5)
		p.sub.ackAll(ds[1], ds[3])
		p.sub.close()
		p.join().wantTexts("what was not acknowledged, after its consumer closed", string(ds[0].Body), string(ds[2].Body), string(ds[4].Body))
	})},
	{Name: "pubsub/ack-many", Rule: "each of two hundred concurrent acknowledgements settles its own message", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("m", 201)...)
		var all []*pubsub.Delivery
		for range 2 {
			some := p.sub.receive(100)
			p.sub.ackAll(some...)
			all = append(all, some...)
		}
		last := p.sub.receive(1)[0]
		p.reopen()
		p.sub.wantTexts("the message that was not acknowledged", string(last.Body))
		p.sub.wantSilence("all others are acknowledged")
		wantSame(p.T, "all messages", append(bodies(all), string(last.Body)), numberedTexts("m", 201))
	})},
	{Name: "pubsub/ack-final-lease", Rule: "an acknowledged message does not come again when its lease would have ended", Run: func(t *suite.T) {
		p := newPipe(t, withShortLease(t))
		p.publishTexts("m")
		p.sub.receiveAndAck(1)
		time.Sleep(shortLease(t) + shortLease(t)/2)
		p.sub.wantSilence("the lease of an acknowledged message")
	}},
	{Name: "pubsub/nack-redeliver", Rule: "a message that is given back comes again at once, not when its lease ends", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		p.sub.giveBack(p.sub.receive(1)[0], 0)
		p.sub.wantTexts("a message that was given back", "m")
		p.sub.wantSilence("it was acknowledged the second time")
	})},
	{Name: "pubsub/nack-many-times", Rule: "a message that is given back ten times comes eleven times, and not again after its acknowledgement", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		for range 10 {
			p.sub.giveBack(p.sub.receive(1)[0], 0)
		}
		p.sub.wantTexts("a message that was given back ten times", "m")
		p.reopen()
		p.sub.wantSilence("it was acknowledged in the end")
	})},
	{Name: "pubsub/nack-others", Rule: "giving back one message neither settles nor repeats another", Run: withPipe(func(p *pipe) {
		p.publishTexts("a", "b", "c")
		ds := p.sub.receive(3)
		p.sub.giveBack(ds[1], 0)
		p.sub.wantTexts("the one message that was given back", string(ds[1].Body))
		p.sub.wantSilence("only one message was given back")
		p.sub.close()
		p.join().wantTexts("the others, after their consumer closed", string(ds[0].Body), string(ds[2].Body))
	})},
	{Name: "pubsub/nack-any-consumer", Rule: "a message that is given back comes to any consumer of the group, also to one that already waits", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		d := p.sub.receive(1)[0]
		other := p.join()
		waiting := other.receiveInBackground(p.Context())
		p.sub.giveBack(d, 0)
		r := receiveFrom(p.T, "a consumer that waits gets what another gave back", waiting)
		p.Must(r.err)
		other.ackAll(r.d)
	})},
	{Name: "pubsub/redelivery-same", Rule: "a message that comes again has the same id, body, metadata, time and position", Run: withPipe(redeliverySame)},
	{Name: "pubsub/settle-mixed", Rule: "of messages that are acknowledged and given back concurrently, exactly the ones given back come again", Run: withPipe(settleMixed)},
	{Name: "pubsub/settle-twice", Rule: "settling a delivery a second time fails with ErrLeaseLost, and changes nothing", Run: withPipe(settleTwice)},
	{Name: "pubsub/settle-canceled", Rule: "a settlement whose context has ended fails, and the delivery can still be settled", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		d := p.sub.receive(1)[0]
		ctx, cancel := context.WithCancel(p.Context())
		cancel()
		p.WantCode("acknowledging with a canceled context", d.Ack(ctx), fairlead.Canceled)
		p.sub.wantSilence("the consumer still holds it")
		p.sub.giveBack(d, 0)
		p.sub.wantTexts("a message that was given back after all", "m")
	})},
	{Name: "pubsub/lease-ends", Rule: "a message that is not settled comes again when its lease ends, to another consumer, and not before", Run: leaseEnds},
	{Name: "pubsub/lease-each", Rule: "the leases of several messages end separately: messages that are acknowledged in time do not come again", Run: leaseEach},
	{Name: "pubsub/poison", Rule: "a message that always fails does not block the other messages", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 20)
		p.publishTexts(append([]string{"poison"}, want...)...)
		var good tally
		stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
			if string(d.Body) == "poison" {
				return errPoison
			}
			good.count(d.Body)
			return nil
		}, pubsub.Concurrency(2))
		good.waitUntil(p.T, len(want))
		p.Must(stop())
		wantSame(p.T, "the good messages", good.texts(), want)
	})},
}

var errPoison = fairlead.Errorf(fairlead.Internal, "this message always fails")

func redeliverySame(p *pipe) {
	m := sampleMessage(7)
	m.ID = "the id"
	p.publish(m)
	first := p.sub.receive(1)[0]
	p.sub.giveBack(first, 0)
	again := p.sub.receive(1)[0]
	wantMessage(p.T, "the repeated delivery", again, m)
	if again.ID != first.ID || again.Position != first.Position || !again.Time.Equal(first.Time) {
		p.Errorf("first: id %q, position %q, stored %v; again: %q, %q, %v", first.ID, first.Position, first.Time, again.ID, again.Position, again.Time)
	}
	p.reopen()
	after := p.sub.receiveAndAck(1)[0]
	wantMessage(p.T, "the delivery after its consumer closed", after, m)
	if after.Position != first.Position || !after.Time.Equal(first.Time) {
		p.Errorf("first: position %q, stored %v; after its consumer closed: %q, %v", first.Position, first.Time, after.Position, after.Time)
	}
}

func settleMixed(p *pipe) {
	p.publishTexts(numberedTexts("m", 60)...)
	ds := p.sub.receive(60)
	var back []string
	for i := 0; i < len(ds); i += 3 {
		back = append(back, string(ds[i].Body))
	}
	suite.RunConcurrently(len(ds), func(i int) {
		err := error(nil)
		if i%3 == 0 {
			err = ds[i].Nack(p.Context(), 0)
		} else {
			err = ds[i].Ack(p.Context())
		}
		if err != nil {
			p.Errorf("settling %s: %v", ds[i].Body, err)
		}
	})
	p.sub.wantTexts("what was given back", back...)
	p.reopen()
	p.sub.wantSilence("everything is acknowledged")
}

func settleTwice(p *pipe) {
	ack := func(d *pubsub.Delivery) error { return d.Ack(p.Context()) }
	nack := func(d *pubsub.Delivery) error { return d.Nack(p.Context(), 0) }
	for _, c := range []struct {
		what          string
		first, second func(*pubsub.Delivery) error
		again         bool
	}{
		{"ack after ack", ack, ack, false},
		{"nack after ack", ack, nack, false},
		{"ack after nack", nack, ack, true},
		{"nack after nack", nack, nack, true},
	} {
		p.publishTexts(c.what)
		d := p.sub.receive(1)[0]
		p.Must(c.first(d))
		p.WantCode(c.what, c.second(d), pubsub.ErrLeaseLost)
		if c.again {
			p.sub.wantTexts(c.what, c.what)
		}
		p.sub.wantSilence(c.what)
	}
	p.reopen()
	p.sub.wantSilence("everything is acknowledged")
}

func leaseEnds(t *suite.T) {
	p := newPipe(t, withShortLease(t))
	other := p.join(withShortLease(t))
	p.publishTexts("m")
	before := time.Now()
	p.sub.receive(1)
	waiting := other.receiveInBackground(t.Context())
	r := receiveFrom(t, "the message comes again when its lease has ended", waiting)
	t.Must(r.err)
	// A backend's clock that runs a little faster than ours is no fault.
	if held := time.Since(before); held < shortLease(t)*9/10 {
		t.Errorf("the message came again %v after it was asked for, its lease lasts %v", held, shortLease(t))
	}
	other.ackAll(r.d)
}

// leaseEach repeats with longer leases where the suite itself was too slow.
func leaseEach(t *suite.T) {
	for deadline := shortLease(t); deadline < 30*time.Second; deadline *= 3 {
		if acknowledgeSome(t, deadline) {
			return
		}
	}
	t.Errorf("this machine is too slow for the case: six acknowledgements take half of a lease")
}

// acknowledgeSome reports false if the suite was too slow to say anything.
func acknowledgeSome(t *suite.T, deadline time.Duration) (inTime bool) {
	p := newPipe(t, pubsub.AckDeadline(deadline))
	p.publishTexts(numberedTexts("m", 9)...)
	began := time.Now() // leases begin after this
	ds := p.sub.receive(9)
	var left []string
	for i, d := range ds {
		if i%3 == 0 {
			left = append(left, string(d.Body))
		}
	}
	for _, i := range []int{1, 2, 4, 5, 7, 8} {
		if err := ds[i].Ack(t.Context()); time.Since(began) > deadline*3/4 {
			return false
		} else if err != nil {
			t.Errorf("acknowledging %s: %v", ds[i].Body, err)
		}
	}
	again := map[string]bool{}
	for len(again) < len(left) {
		d := p.sub.receiveAndAck(1)[0]
		again[string(d.Body)] = true
		if !slices.Contains(left, string(d.Body)) {
			t.Errorf("%s was acknowledged in time and came again", d.Body)
			return true
		}
	}
	return true
}
