package pubsubcases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var groupCases = []suite.Case{
	{Name: "pubsub/group-fanout", Rule: "each of several groups gets every message, whatever other groups acknowledge or give back", Run: withPipe(func(p *pipe) {
		subs := []*consumer{p.sub, p.joinGroup(p.T.Name()), p.joinGroup(p.T.Name())}
		want := numberedTexts("m", 20)
		p.publishTexts(want...)
		p.sub.giveBack(p.sub.receive(1)[0], 0)
		for i, sub := range subs {
			sub.wantTexts(fmt.Sprintf("group %d", i), want...)
			sub.wantSilence("each message came once")
		}
	})},
	{Name: "pubsub/group-compete", Rule: "consumers of a group share its messages: no message comes to two consumers, and each consumer that receives gets some", Run: withPipe(func(p *pipe) {
		subs := []*consumer{p.sub, p.join(), p.join()}
		want := numberedTexts("m", 12)
		p.publishTexts(want...)
		var got []string
		for i := range want {
			ds := subs[i%3].receive(1)
			got = append(got, string(ds[0].Body))
			subs[i%3].ackAll(ds...)
		}
		wantSame(p.T, "what three consumers in turn got", got, want)
		for _, sub := range subs {
			sub.wantSilence("every message was delivered to one of the consumers")
		}
	})},
	{Name: "pubsub/group-compete-unsettled", Rule: "a message that one consumer holds does not come to another while the lease lasts", Run: withPipe(func(p *pipe) {
		other := p.join()
		p.publishTexts("a", "b")
		first, second := p.sub.receive(1), other.receive(1)
		wantSame(p.T, "what two consumers hold", append(bodies(first), bodies(second)...), []string{"a", "b"})
		other.wantSilence("the other message is held by the first consumer")
		p.sub.wantSilence("the other message is held by the second consumer")
	})},
	{Name: "pubsub/group-compete-handlers", Rule: "handlers of two consumers both get some of the group's messages, each message once", Run: withPipe(competingHandlers)},
	{Name: "pubsub/waiting-many", Rule: "of several calls of Receive that wait on one subscription, each gets a message of its own", Run: withPipe(func(p *pipe) {
		var waiting []<-chan received
		for range 8 {
			waiting = append(waiting, p.sub.receiveInBackground(p.Context()))
		}
		want := numberedTexts("m", 8)
		p.publishTexts(want...)
		var got []string
		for _, w := range waiting {
			r := receiveFrom(p.T, "every Receive that waits gets one of as many messages", w)
			p.Must(r.err)
			got = append(got, string(r.d.Body))
		}
		wantSame(p.T, "eight calls of Receive", got, want)
	})},
	{Name: "pubsub/waiting-wakes", Rule: "a Receive that waits gets a message when it is published", Run: withPipe(func(p *pipe) {
		for _, body := range []string{"first", "second"} {
			waiting := p.sub.receiveInBackground(p.Context())
			p.publishTexts(body)
			r := receiveFrom(p.T, "a Receive that waits gets what is published", waiting)
			p.Must(r.err)
			p.sub.ackAll(r.d)
		}
	})},
	{Name: "pubsub/late-group", Rule: "a new group gets the messages that are published after it was created, and no earlier ones", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("old", 10)...)
		late := p.joinGroup(p.T.Name())
		want := numberedTexts("new", 10)
		p.publishTexts(want...)
		late.wantTexts("a group made after ten messages", want...)
		late.wantSilence("a new group begins with what is new")
		p.sub.wantTexts("the group that was there", append(numberedTexts("old", 10), want...)...)
	})},
	{Name: "pubsub/group-exists", Rule: "when Subscribe returns, the group exists: a message that is published right then arrives", Run: withPipe(func(p *pipe) {
		for i := range 15 {
			sub := p.joinGroup(p.T.Name())
			body := fmt.Sprintf("m%d", i)
			p.publishTexts(body)
			sub.wantTexts("a message published right after Subscribe returned", body)
			sub.close()
		}
	})},
	{Name: "pubsub/group-kept", Rule: "a group without consumers gets each message that is published meanwhile once, and continues where it was", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("before", 10)...)
		p.sub.receiveAndAck(5)
		p.sub.close()
		want := numberedTexts("meanwhile", 20)
		p.publishTexts(want...)
		p.sub = p.join()
		left := bodies(p.sub.receiveAndAck(25))
		var meanwhile []string
		for _, b := range left {
			if strings.HasPrefix(b, "meanwhile") {
				meanwhile = append(meanwhile, b)
			}
		}
		wantSame(p.T, "the messages that were published while there was no consumer", meanwhile, want)
		p.sub.wantSilence("everything came once")
	})},
	{Name: "pubsub/missing-topic", Rule: "publishing to a topic without subscriptions succeeds, and so does subscribing to a topic that was never opened", Run: func(t *suite.T) {
		lonely := t.Topic(t.Name())
		for range 3 {
			_, err := lonely.Publish(t.Context(), pubsub.Message{Body: []byte("nobody")})
			t.Must(err)
		}
		p := newPipe(t)
		p.publishTexts("m")
		p.sub.wantTexts("a topic that was subscribed to first", "m")
	}},
	{Name: "pubsub/slow-group", Rule: "a group that receives nothing, and a group that settles nothing, do not hold back other groups", Run: withPipe(func(p *pipe) {
		idle, stuck := p.joinGroup(p.T.Name()), p.joinGroup(p.T.Name())
		want := numberedTexts("m", 300)
		p.publishTexts(want...)
		stuck.receive(20)
		p.sub.wantTexts("a group beside an idle one and a stuck one", want...)
		idle.receiveAndAck(1)
	})},
	{Name: "pubsub/limit", Rule: "ReceiveMany returns at least one message and at most the limit; it does not wait for more than one", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("m", 10)...)
		n := 0
		for n < 10 {
			ds, err := p.sub.receiveBatch(3)
			p.Must(err)
			if len(ds) < 1 || len(ds) > 3 {
				p.Fatalf("ReceiveMany(3) returned %d messages", len(ds))
			}
			n += len(ds)
			p.sub.ackAll(ds...)
		}
		p.publishTexts("alone")
		ds, err := p.sub.receiveBatch(50)
		if err != nil || len(ds) != 1 {
			p.Errorf("ReceiveMany(50) with one message there: %d messages, %v", len(ds), err)
		}
	})},
	{Name: "pubsub/topic-isolation", Rule: "a message arrives only on its own topic, however similar the names of other topics are", Run: topicIsolation},
	{Name: "pubsub/group-isolation", Rule: "groups are separate, however similar their names and the names of their topics are", Run: groupIsolation},
	{Name: "pubsub/handles-apart", Rule: "closing one handle of a topic, or one consumer of a group, does not affect the others and the messages that they hold", Run: withPipe(handlesApart)},
	{Name: "pubsub/resubscribe", Rule: "a group whose consumer is repeatedly closed and opened gets every message once", Run: withPipe(func(p *pipe) {
		for i := range 15 {
			want := numberedTexts(fmt.Sprintf("round%d-", i), 3)
			p.publishTexts(want...)
			p.sub.wantTexts("a round", want...)
			p.reopen()
		}
		p.sub.wantSilence("everything is acknowledged")
	})},
}

// competingHandlers lets no handler continue before both consumers have one.
func competingHandlers(p *pipe) {
	var all tally
	subs := []*consumer{p.sub, p.join()}
	came := []chan struct{}{make(chan struct{}), make(chan struct{})}
	var stops []func() error
	for i, sub := range subs {
		arrive := sync.OnceFunc(func() { close(came[i]) })
		stops = append(stops, sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
			arrive()
			select {
			case <-came[1-i]:
			case <-time.After(p.Patience()):
				p.Errorf("one of two consumers got no message for %v while the other had some", p.Patience())
			}
			all.count(d.Body)
			return nil
		}, pubsub.Prefetch(0)))
	}
	want := numberedTexts("m", 40)
	p.publishTexts(want...)
	all.waitUntil(p.T, len(want))
	for _, stop := range stops {
		p.Must(stop())
	}
	wantSame(p.T, "what two handlers got", all.texts(), want)
}

func topicIsolation(t *suite.T) {
	base := t.Name()
	names := []string{base, base + "x", base + ".x", base + "-x", base + "_x", base + ".X", base + ".x.y", base + ".."}
	subs := make([]*consumer, len(names))
	for i, name := range names {
		subs[i] = &consumer{t.Subscribe(name, pubsub.Group("g")), t}
	}
	for _, name := range slices.Backward(names) { // in another order, so that the messages cannot match by chance
		_, err := t.Topic(name).Publish(t.Context(), pubsub.Message{Body: []byte("to " + name)})
		t.Must(err)
	}
	for i, name := range names {
		subs[i].wantTexts("the topic "+name, "to "+name)
	}
	for _, sub := range subs {
		sub.wantSilence("one message was published to each topic")
	}
}

func groupIsolation(t *suite.T) {
	base := t.Name()
	pairs := [][2]string{{base, "b.c"}, {base + ".b", "c"}, {base, "b-c"}, {base + "-b", "c"}, {base, "B.C"}, {base, "b"}, {base, "b_c"}}
	subs := make([]*consumer, len(pairs))
	for i, pair := range pairs {
		subs[i] = &consumer{t.Subscribe(pair[0], pubsub.Group(pair[1])), t}
	}
	for _, name := range []string{base, base + ".b", base + "-b"} {
		topic := t.Topic(name)
		for _, body := range numberedTexts(name, 3) {
			_, err := topic.Publish(t.Context(), pubsub.Message{Body: []byte(body)})
			t.Must(err)
		}
	}
	for i, pair := range pairs {
		subs[i].wantTexts(fmt.Sprintf("the group %q of the topic %q", pair[1], pair[0]), numberedTexts(pair[0], 3)...)
	}
	subs[0].wantSilence("every group has its messages")
}

func handlesApart(p *pipe) {
	topic, other := p.T.Topic(p.topic), p.join()
	p.publishTexts("a", "b")
	mine, theirs := p.sub.receive(1)[0], other.receive(1)[0]
	p.sub.close()
	p.Must(topic.Close(p.Context()))
	again := other.receive(1)[0]
	if string(again.Body) != string(mine.Body) {
		p.Errorf("after a consumer that held %s closed, %s came", mine.Body, again.Body)
	}
	other.wantSilence("the consumer that is left holds both messages")
	other.ackAll(theirs, again)
	p.publishTexts("c")
	other.wantTexts("after another handle of the topic was closed", "c")
}
