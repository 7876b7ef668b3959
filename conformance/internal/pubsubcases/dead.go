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
	{Name: "pubsub/count-nack", Needs: counting, Rule: "attempts count 1, 2, 3 as a message is given back, separately for each message and each group", Run: countNack},
	{Name: "pubsub/count-close", Needs: counting, Rule: "a delivery to a consumer that closed counts as an attempt", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		for i := range 3 {
			p.wantAttempt("after closing", p.sub.receive(1)[0], i+1)
			p.reopen()
		}
	})},
	{Name: "pubsub/count-lease", Needs: counting, Rule: "a delivery whose lease ended counts as an attempt", Run: func(t *suite.T) {
		p := newPipe(t, withShortLease(t))
		p.publishTexts("m")
		for i := range 3 {
			p.wantAttempt("after its lease ended", p.sub.receive(1)[0], i+1)
		}
	}},
	{Name: "pubsub/dead-letter", Needs: counting, Rule: "after exactly maxAttempts attempts a message is on the dead-letter topic, with body, metadata, origin and reason, and gone from its group", Run: deadLetter},
	{Name: "pubsub/dead-letter-handler", Needs: counting, Rule: "a message on which a handler always fails ends on the dead-letter topic, with the last error; other messages do not", Run: deadLetterHandler},
	{Name: "pubsub/dead-letter-crash", Needs: counting, Rule: "a message whose consumers all die ends on the dead-letter topic after maxAttempts attempts", Run: deadLetterCrash},
	{Name: "pubsub/dead-letter-ids", Needs: counting, Rule: "dead letters of several topics, and of messages with the same id, are all kept", Run: deadLetterIDs},
	{Name: "pubsub/dead-letter-key", Needs: []fairlead.Claim{pubsub.DeliveryCount, pubsub.OrderedByKey}, Rule: "a dead letter keeps its key, and no longer holds back the later messages of the key", Run: deadLetterKey},
}

func (p *pipe) wantAttempt(what string, d *pubsub.Delivery, want int) {
	if d.Attempt != want {
		p.Errorf("%s: %s says attempt %d, want %d", what, d.Body, d.Attempt, want)
	}
}

func countNack(t *suite.T) {
	p := newPipe(t)
	other := p.joinGroup(t.Name())
	p.publishTexts("m")
	for i := range 4 {
		d := p.sub.receive(1)[0]
		p.wantAttempt("after giving it back", d, i+1)
		p.sub.giveBack(d, 0)
	}
	p.wantAttempt("in a group that never gave it back", other.receive(1)[0], 1)
	p.wantAttempt("after giving it back", p.sub.receiveAndAck(1)[0], 5)
	p.publishTexts("n")
	p.wantAttempt("another message", p.sub.receiveAndAck(1)[0], 1)
}

// subscribeDeadLetters returns a consumer of the dead letters.
func (p *pipe) subscribeDeadLetters(topic string) *consumer {
	return &consumer{p.Subscribe(topic, pubsub.Group("graves")), p.T}
}

func deadLetter(t *suite.T) {
	dead := t.Name()
	p := newPipe(t, pubsub.DeadLetter(dead, 3))
	graves := p.subscribeDeadLetters(dead)
	m := sampleMessage(1)
	m.ID = "the id"
	p.publish(copyMessage(m))
	for i := range 3 {
		d := p.sub.receive(1)[0]
		p.wantAttempt("before the dead letter", d, i+1)
		graves.wantSilence("fewer attempts than allowed were used up")
		p.sub.giveBack(d, 0)
	}
	d := graves.receiveAndAck(1)[0]
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
	graves.wantSilence("there was one dead letter")
	p.reopen()
	p.sub.wantSilence("the message is with the dead letters")
}

func deadLetterHandler(t *suite.T) {
	dead := t.Name()
	p := newPipe(t, pubsub.DeadLetter(dead, 2))
	graves := p.subscribeDeadLetters(dead)
	var all tally
	stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
		if n := all.count(d.Body); string(d.Body) == "bad" {
			return fmt.Errorf("failure %d", n)
		}
		return nil
	}, atOnce)
	p.publishTexts("good", "bad", "fine")
	d := graves.receiveAndAck(1)[0]
	if string(d.Body) != "bad" || d.Metadata["dead-letter-reason"] != "failure 2" {
		t.Errorf("the dead letter is %q with the reason %q, want bad with failure 2", d.Body, d.Metadata["dead-letter-reason"])
	}
	all.waitUntil(t, 4)
	t.Must(stop())
	graves.wantSilence("one message failed")
	p.reopen()
	p.sub.wantSilence("everything was dealt with")
	wantSame(t, "what the handler got", all.texts(), []string{"good", "bad", "bad", "fine"})
}

func deadLetterCrash(t *suite.T) {
	dead := t.Name()
	opts := []pubsub.SubscribeOption{withShortLease(t), pubsub.DeadLetter(dead, 2)}
	p := newPipe(t, opts...)
	graves := p.subscribeDeadLetters(dead)
	p.publishTexts("m")
	p.wantAttempt("the first consumer", p.sub.receive(1)[0], 1)
	p.wantAttempt("after its lease ended", p.join(opts...).receive(1)[0], 2)
	waiting := p.sub.receiveInBackground(t.Context())
	graves.wantTexts("the dead letters", "m")
	p.publishTexts("next")
	r := receiveFrom(t, "the message after a dead letter comes", waiting)
	t.Must(r.err)
	if string(r.d.Body) != "next" {
		t.Errorf("after two attempts %s came with attempt %d; want it on the dead-letter topic", r.d.Body, r.d.Attempt)
	}
	p.sub.ackAll(r.d)
	p.reopen()
	p.sub.wantSilence("the message is with the dead letters")
}

func deadLetterIDs(t *suite.T) {
	dead := t.Name()
	var graves *consumer
	for range 2 {
		p := newPipe(t, pubsub.DeadLetter(dead, 1))
		if graves == nil {
			graves = p.subscribeDeadLetters(dead)
		}
		p.publish(pubsub.Message{ID: "same", Body: []byte("of " + p.topic)})
		p.sub.giveBack(p.sub.receive(1)[0], 0)
		graves.wantTexts("the dead letters", "of "+p.topic)
	}
	graves.wantSilence("two messages died")
}

func deadLetterKey(t *suite.T) {
	dead := t.Name()
	p := newPipe(t, pubsub.DeadLetter(dead, 2))
	graves := p.subscribeDeadLetters(dead)
	p.publish(keyedMessages("k", 2)...)
	for range 2 {
		d := p.sub.receive(1)[0]
		if string(d.Body) != "k0000" {
			t.Fatalf("%s came before its predecessor was settled", d.Body)
		}
		p.sub.giveBack(d, 0)
	}
	if d := graves.receiveAndAck(1)[0]; d.Key != "k" || string(d.Body) != "k0000" {
		t.Errorf("the dead letter is %q with the key %q, want k0000 with k", d.Body, d.Key)
	}
	p.sub.wantTexts("the successor of a dead letter", "k0001")
}
