package pubsubcases

import (
	"context"
	"fmt"
	"strconv"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var counting = []fairlead.Claim{pubsub.DeliveryCount}

var deadCases = []suite.Case{
	{Name: "pubsub/count-nack", Needs: counting, Rule: "attempts count 1, 2, 3 as a message is given back, for each message and each group on its own", Run: countNack},
	{Name: "pubsub/count-close", Needs: counting, Rule: "a delivery to a consumer that closed counts as an attempt", Run: piped(func(p *pipe) {
		p.texts("m")
		for i := range 3 {
			p.wantAttempt("after closing", p.sub.get(1)[0], i+1)
			p.reopen()
		}
	})},
	{Name: "pubsub/count-lease", Needs: counting, Rule: "a delivery whose lease ended counts as an attempt", Run: func(t *suite.T) {
		p := newPipe(t, short(t))
		p.texts("m")
		for i := range 3 {
			p.wantAttempt("after its lease ended", p.sub.get(1)[0], i+1)
		}
	}},
	{Name: "pubsub/dead-letter", Needs: counting, Rule: "after exactly as many attempts a message is with the dead letters, with body, metadata, origin and reason, and gone here", Run: deadLetter},
	{Name: "pubsub/dead-letter-handler", Needs: counting, Rule: "a message on which a handler always fails ends with the dead letters, with the last error; others do not", Run: deadLetterHandler},
	{Name: "pubsub/dead-letter-crash", Needs: counting, Rule: "a message whose consumers all die ends with the dead letters after as many attempts", Run: deadLetterCrash},
	{Name: "pubsub/dead-letter-ids", Needs: counting, Rule: "dead letters of several topics, and of messages with the same id, are all kept", Run: deadLetterIDs},
	{Name: "pubsub/dead-letter-key", Needs: []fairlead.Claim{pubsub.DeliveryCount, pubsub.OrderedByKey}, Rule: "a dead letter keeps its key, and no longer holds back its successors", Run: deadLetterKey},
}

func (p *pipe) wantAttempt(what string, d *pubsub.Delivery, want int) {
	if d.Attempt != want {
		p.Errorf("%s: %s says attempt %d, want %d", what, d.Body, d.Attempt, want)
	}
}

func countNack(t *suite.T) {
	p := newPipe(t)
	other := p.other(t.Name())
	p.texts("m")
	for i := range 4 {
		d := p.sub.get(1)[0]
		p.wantAttempt("after giving it back", d, i+1)
		p.sub.nack(d, 0)
	}
	p.wantAttempt("in a group that never gave it back", other.get(1)[0], 1)
	p.wantAttempt("after giving it back", p.sub.take(1)[0], 5)
	p.texts("n")
	p.wantAttempt("another message", p.sub.take(1)[0], 1)
}

// graves returns a consumer of the dead letters.
func (p *pipe) graves(topic string) *consumer {
	return &consumer{p.Subscribe(topic, pubsub.Group("graves")), p.T}
}

func deadLetter(t *suite.T) {
	dead := t.Name()
	p := newPipe(t, pubsub.DeadLetter(dead, 3))
	graves := p.graves(dead)
	m := sample(1)
	m.ID = "the id"
	p.send(copied(m))
	for i := range 3 {
		d := p.sub.get(1)[0]
		p.wantAttempt("before the dead letter", d, i+1)
		graves.quiet("fewer attempts than allowed were used up")
		p.sub.nack(d, 0)
	}
	d := graves.take(1)[0]
	for name, want := range map[string]string{
		"dead-letter-topic": p.topic, "dead-letter-attempts": strconv.Itoa(3), "dead-letter-id": "the id", "dead-letter-reason": "given back",
	} {
		if d.Metadata[name] != want {
			t.Errorf("the dead letter's %s is %q, want %q", name, d.Metadata[name], want)
		}
		delete(d.Metadata, name)
	}
	m.ID = ""
	wantMessage(p.T, "the dead letter", d, m)
	graves.quiet("there was one dead letter")
	p.reopen()
	p.sub.quiet("the message is with the dead letters")
}

func deadLetterHandler(t *suite.T) {
	dead := t.Name()
	p := newPipe(t, pubsub.DeadLetter(dead, 2))
	graves := p.graves(dead)
	var all tally
	stop := p.sub.handle(func(_ context.Context, d *pubsub.Delivery) error {
		if n := all.add(d.Body); string(d.Body) == "bad" {
			return fmt.Errorf("failure %d", n)
		}
		return nil
	}, atOnce)
	p.texts("good", "bad", "fine")
	d := graves.take(1)[0]
	if string(d.Body) != "bad" || d.Metadata["dead-letter-reason"] != "failure 2" {
		t.Errorf("the dead letter is %q with the reason %q, want bad with failure 2", d.Body, d.Metadata["dead-letter-reason"])
	}
	all.reaches(t, 4)
	t.Must(stop())
	graves.quiet("one message failed")
	p.reopen()
	p.sub.quiet("everything was dealt with")
	wantSame(t, "what the handler got", all.got(), []string{"good", "bad", "bad", "fine"})
}

func deadLetterCrash(t *suite.T) {
	dead := t.Name()
	opts := []pubsub.SubscribeOption{short(t), pubsub.DeadLetter(dead, 2)}
	p := newPipe(t, opts...)
	graves := p.graves(dead)
	p.texts("m")
	p.wantAttempt("the first consumer", p.sub.get(1)[0], 1)
	p.wantAttempt("after its lease ended", p.join(opts...).get(1)[0], 2)
	waiting := p.sub.later(t.Context())
	graves.takeTexts("the dead letters", "m")
	p.texts("next")
	r := await(t, "the message after a dead letter comes", waiting)
	t.Must(r.err)
	if string(r.d.Body) != "next" {
		t.Errorf("after two attempts %s came with attempt %d, want it with the dead letters", r.d.Body, r.d.Attempt)
	}
	p.sub.ack(r.d)
	p.reopen()
	p.sub.quiet("the message is with the dead letters")
}

func deadLetterIDs(t *suite.T) {
	dead := t.Name()
	var graves *consumer
	for range 2 {
		p := newPipe(t, pubsub.DeadLetter(dead, 1))
		if graves == nil {
			graves = p.graves(dead)
		}
		p.send(pubsub.Message{ID: "same", Body: []byte("of " + p.topic)})
		p.sub.nack(p.sub.get(1)[0], 0)
		graves.takeTexts("the dead letters", "of "+p.topic)
	}
	graves.quiet("two messages died")
}

func deadLetterKey(t *suite.T) {
	dead := t.Name()
	p := newPipe(t, pubsub.DeadLetter(dead, 2))
	graves := p.graves(dead)
	p.send(keyed("k", 2)...)
	for range 2 {
		d := p.sub.get(1)[0]
		if string(d.Body) != "k0000" {
			t.Fatalf("%s came before its predecessor was settled", d.Body)
		}
		p.sub.nack(d, 0)
	}
	if d := graves.take(1)[0]; d.Key != "k" || string(d.Body) != "k0000" {
		t.Errorf("the dead letter is %q with the key %q, want k0000 with k", d.Body, d.Key)
	}
	p.sub.takeTexts("the successor of a dead letter", "k0001")
}
