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
	{Name: "pubsub/ack-final", Rule: "an acknowledged message does not come again, also not to a consumer that joins later", Run: piped(func(p *pipe) {
		p.texts(series("m", 30)...)
		p.sub.take(30)
		p.sub.quiet("all messages are acknowledged")
		p.reopen()
		p.texts("new")
		p.sub.takeTexts("a consumer that joins after all was acknowledged", "new")
		p.sub.quiet("all messages are acknowledged")
	})},
	{Name: "pubsub/ack-own", Rule: "an acknowledgement settles only its own message: neither older nor newer ones", Run: piped(func(p *pipe) {
		p.texts(series("m", 5)...)
		ds := p.sub.get(5)
		p.sub.ack(ds[1], ds[3])
		p.sub.close()
		p.join().takeTexts("what was not acknowledged, after its consumer closed", string(ds[0].Body), string(ds[2].Body), string(ds[4].Body))
	})},
	{Name: "pubsub/ack-many", Rule: "two hundred acknowledgements at once settle each its own message", Run: piped(func(p *pipe) {
		p.texts(series("m", 201)...)
		var all []*pubsub.Delivery
		for range 2 {
			some := p.sub.get(100)
			p.sub.ack(some...)
			all = append(all, some...)
		}
		last := p.sub.get(1)[0]
		p.reopen()
		p.sub.takeTexts("the message that was not acknowledged", string(last.Body))
		p.sub.quiet("all others are acknowledged")
		wantSame(p.T, "all messages", append(bodies(all), string(last.Body)), series("m", 201))
	})},
	{Name: "pubsub/ack-final-lease", Rule: "an acknowledged message does not come again when its lease would have ended", Run: func(t *suite.T) {
		p := newPipe(t, short(t))
		p.texts("m")
		p.sub.take(1)
		time.Sleep(lease(t) + lease(t)/2)
		p.sub.quiet("the lease of an acknowledged message")
	}},
	{Name: "pubsub/nack-redeliver", Rule: "a message that is given back comes again at once, not when its lease ends", Run: piped(func(p *pipe) {
		p.texts("m")
		p.sub.nack(p.sub.get(1)[0], 0)
		p.sub.takeTexts("a message that was given back", "m")
		p.sub.quiet("it was acknowledged the second time")
	})},
	{Name: "pubsub/nack-many-times", Rule: "a message that is given back ten times comes eleven times, and not again after its acknowledgement", Run: piped(func(p *pipe) {
		p.texts("m")
		for range 10 {
			p.sub.nack(p.sub.get(1)[0], 0)
		}
		p.sub.takeTexts("a message that was given back ten times", "m")
		p.reopen()
		p.sub.quiet("it was acknowledged in the end")
	})},
	{Name: "pubsub/nack-others", Rule: "giving one message back neither settles nor repeats another", Run: piped(func(p *pipe) {
		p.texts("a", "b", "c")
		ds := p.sub.get(3)
		p.sub.nack(ds[1], 0)
		p.sub.takeTexts("the one message that was given back", string(ds[1].Body))
		p.sub.quiet("only one message was given back")
		p.sub.close()
		p.join().takeTexts("the others, after their consumer closed", string(ds[0].Body), string(ds[2].Body))
	})},
	{Name: "pubsub/nack-any-consumer", Rule: "a message that is given back comes to any consumer of the group, also one that waits already", Run: piped(func(p *pipe) {
		p.texts("m")
		d := p.sub.get(1)[0]
		other := p.join()
		waiting := other.later(p.Context())
		p.sub.nack(d, 0)
		r := await(p.T, "a consumer that waits gets what another gave back", waiting)
		p.Must(r.err)
		other.ack(r.d)
	})},
	{Name: "pubsub/redelivery-same", Rule: "a message that comes again has the same id, body, metadata, time and position", Run: piped(redeliverySame)},
	{Name: "pubsub/settle-mixed", Rule: "of messages acknowledged and given back at once, exactly the ones given back come again", Run: piped(settleMixed)},
	{Name: "pubsub/settle-twice", Rule: "settling a delivery a second time fails with ErrLeaseLost, and changes nothing", Run: piped(settleTwice)},
	{Name: "pubsub/settle-canceled", Rule: "a settlement whose context has ended fails, and the delivery can still be settled", Run: piped(func(p *pipe) {
		p.texts("m")
		d := p.sub.get(1)[0]
		ctx, cancel := context.WithCancel(p.Context())
		cancel()
		p.WantCode("acknowledging with a canceled context", d.Ack(ctx), fairlead.Canceled)
		p.sub.quiet("the consumer still holds it")
		p.sub.nack(d, 0)
		p.sub.takeTexts("a message that was given back after all", "m")
	})},
	{Name: "pubsub/lease-ends", Rule: "a message that is not settled comes again when its lease ends, to another consumer, and not before", Run: leaseEnds},
	{Name: "pubsub/lease-each", Rule: "the leases of several messages end each on its own: those acknowledged in time do not come again", Run: leaseEach},
	{Name: "pubsub/poison", Rule: "a message that always fails does not keep the others from being dealt with", Run: piped(func(p *pipe) {
		want := series("m", 20)
		p.texts(append([]string{"poison"}, want...)...)
		var good tally
		stop := p.sub.handle(func(_ context.Context, d *pubsub.Delivery) error {
			if string(d.Body) == "poison" {
				return errPoison
			}
			good.add(d.Body)
			return nil
		}, pubsub.Concurrency(2))
		good.reaches(p.T, len(want))
		p.Must(stop())
		wantSame(p.T, "the good messages", good.got(), want)
	})},
}

var errPoison = fairlead.Errorf(fairlead.Internal, "this message always fails")

func redeliverySame(p *pipe) {
	m := sample(7)
	m.ID = "the id"
	p.send(m)
	first := p.sub.get(1)[0]
	p.sub.nack(first, 0)
	again := p.sub.get(1)[0]
	wantMessage(p.T, "the repeated delivery", again, m)
	if again.ID != first.ID || again.Position != first.Position || !again.Time.Equal(first.Time) {
		p.Errorf("first: id %q, position %q, stored %v; again: %q, %q, %v", first.ID, first.Position, first.Time, again.ID, again.Position, again.Time)
	}
	p.reopen()
	after := p.sub.take(1)[0]
	wantMessage(p.T, "the delivery after its consumer closed", after, m)
	if after.Position != first.Position || !after.Time.Equal(first.Time) {
		p.Errorf("first: position %q, stored %v; after its consumer closed: %q, %v", first.Position, first.Time, after.Position, after.Time)
	}
}

func settleMixed(p *pipe) {
	p.texts(series("m", 60)...)
	ds := p.sub.get(60)
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
	p.sub.takeTexts("what was given back", back...)
	p.reopen()
	p.sub.quiet("everything is acknowledged")
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
		p.texts(c.what)
		d := p.sub.get(1)[0]
		p.Must(c.first(d))
		p.WantCode(c.what, c.second(d), pubsub.ErrLeaseLost)
		if c.again {
			p.sub.takeTexts(c.what, c.what)
		}
		p.sub.quiet(c.what)
	}
	p.reopen()
	p.sub.quiet("everything is acknowledged")
}

func leaseEnds(t *suite.T) {
	p := newPipe(t, short(t))
	other := p.join(short(t))
	p.texts("m")
	before := time.Now()
	p.sub.get(1)
	waiting := other.later(t.Context())
	r := await(t, "the message comes again when its lease has ended", waiting)
	t.Must(r.err)
	// A clock of the backend that goes a little faster than ours is no fault.
	if held := time.Since(before); held < lease(t)*9/10 {
		t.Errorf("the message came again %v after it was asked for, its lease lasts %v", held, lease(t))
	}
	other.ack(r.d)
}

func leaseEach(t *suite.T) {
	p := newPipe(t, short(t))
	p.texts(series("m", 9)...)
	ds := p.sub.get(9)
	var left []string
	for i, d := range ds {
		if i%3 == 0 {
			left = append(left, string(d.Body))
		}
	}
	began := time.Now()
	p.sub.ack(ds[1], ds[2], ds[4], ds[5], ds[7], ds[8])
	if time.Since(began) > lease(t)/2 {
		left = bodies(ds) // too slow for any statement about the others
	}
	again := map[string]bool{}
	for len(again) < len(left) {
		d := p.sub.take(1)[0]
		again[string(d.Body)] = true
		if !slices.Contains(left, string(d.Body)) {
			t.Errorf("%s was acknowledged in time and came again", d.Body)
			return
		}
	}
}
