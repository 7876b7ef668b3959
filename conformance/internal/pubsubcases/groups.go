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
	{Name: "pubsub/group-fanout", Rule: "each of several groups gets every message, whatever the others acknowledge or give back", Run: piped(func(p *pipe) {
		subs := []*consumer{p.sub, p.other(p.T.Name()), p.other(p.T.Name())}
		want := series("m", 20)
		p.texts(want...)
		p.sub.nack(p.sub.get(1)[0], 0)
		for i, sub := range subs {
			sub.takeTexts(fmt.Sprintf("group %d", i), want...)
			sub.quiet("each message came once")
		}
	})},
	{Name: "pubsub/group-compete", Rule: "consumers of a group share its messages: none comes to two of them, and one that asks gets some", Run: piped(func(p *pipe) {
		subs := []*consumer{p.sub, p.join(), p.join()}
		want := series("m", 12)
		p.texts(want...)
		var got []string
		for i := range want {
			ds := subs[i%3].get(1)
			got = append(got, string(ds[0].Body))
			subs[i%3].ack(ds...)
		}
		wantSame(p.T, "what three consumers in turn got", got, want)
		for _, sub := range subs {
			sub.quiet("every message was delivered to one of the consumers")
		}
	})},
	{Name: "pubsub/group-compete-unsettled", Rule: "a message that one consumer holds does not come to another while the lease lasts", Run: piped(func(p *pipe) {
		other := p.join()
		p.texts("a", "b")
		first, second := p.sub.get(1), other.get(1)
		wantSame(p.T, "what two consumers hold", append(bodies(first), bodies(second)...), []string{"a", "b"})
		other.quiet("the other message is held by the first consumer")
		p.sub.quiet("the other message is held by the second consumer")
	})},
	{Name: "pubsub/group-compete-handlers", Rule: "handlers of two consumers both get some of the group's messages, each message once", Run: piped(competingHandlers)},
	{Name: "pubsub/waiting-many", Rule: "of several calls of Receive that wait on one subscription, each gets a message of its own", Run: piped(func(p *pipe) {
		var waiting []<-chan received
		for range 8 {
			waiting = append(waiting, p.sub.later(p.Context()))
		}
		want := series("m", 8)
		p.texts(want...)
		var got []string
		for _, w := range waiting {
			r := await(p.T, "every Receive that waits gets one of as many messages", w)
			p.Must(r.err)
			got = append(got, string(r.d.Body))
		}
		wantSame(p.T, "eight calls of Receive", got, want)
	})},
	{Name: "pubsub/waiting-wakes", Rule: "a Receive that waits gets a message when it is published", Run: piped(func(p *pipe) {
		for _, body := range []string{"first", "second"} {
			waiting := p.sub.later(p.Context())
			p.texts(body)
			r := await(p.T, "a Receive that waits gets what is published", waiting)
			p.Must(r.err)
			p.sub.ack(r.d)
		}
	})},
	{Name: "pubsub/late-group", Rule: "a new group gets what is published after it was made, and nothing from before", Run: piped(func(p *pipe) {
		p.texts(series("old", 10)...)
		late := p.other(p.T.Name())
		want := series("new", 10)
		p.texts(want...)
		late.takeTexts("a group made after ten messages", want...)
		late.quiet("a new group begins with what is new")
		p.sub.takeTexts("the group that was there", append(series("old", 10), want...)...)
	})},
	{Name: "pubsub/group-exists", Rule: "when Subscribe returns the group exists: what is published at once arrives", Run: piped(func(p *pipe) {
		for i := range 15 {
			sub := p.other(p.T.Name())
			body := fmt.Sprintf("m%d", i)
			p.texts(body)
			sub.takeTexts("a message published right after Subscribe returned", body)
			sub.close()
		}
	})},
	{Name: "pubsub/group-kept", Rule: "a group without consumers gets each message that is published meanwhile once, and continues where it was", Run: piped(func(p *pipe) {
		p.texts(series("before", 10)...)
		p.sub.take(5)
		p.sub.close()
		want := series("meanwhile", 20)
		p.texts(want...)
		p.sub = p.join()
		left := bodies(p.sub.take(25))
		var meanwhile []string
		for _, b := range left {
			if strings.HasPrefix(b, "meanwhile") {
				meanwhile = append(meanwhile, b)
			}
		}
		wantSame(p.T, "what was published while nobody consumed", meanwhile, want)
		p.sub.quiet("everything came once")
	})},
	{Name: "pubsub/missing-topic", Rule: "publishing to a topic that nobody subscribed to succeeds, and so does subscribing to one that nobody opened", Run: func(t *suite.T) {
		lonely := t.Topic(t.Name())
		for range 3 {
			_, err := lonely.Publish(t.Context(), pubsub.Message{Body: []byte("nobody")})
			t.Must(err)
		}
		p := newPipe(t)
		p.texts("m")
		p.sub.takeTexts("a topic that was subscribed to first", "m")
	}},
	{Name: "pubsub/slow-group", Rule: "a group that receives nothing, and one that settles nothing, hold back no other group", Run: piped(func(p *pipe) {
		idle, stuck := p.other(p.T.Name()), p.other(p.T.Name())
		want := series("m", 300)
		p.texts(want...)
		stuck.get(20)
		p.sub.takeTexts("a group beside an idle one and a stuck one", want...)
		idle.take(1)
	})},
	{Name: "pubsub/limit", Rule: "ReceiveMany returns at least one message and at most as many as asked for; it waits for no more", Run: piped(func(p *pipe) {
		p.texts(series("m", 10)...)
		n := 0
		for n < 10 {
			ds, err := p.sub.batch(3)
			p.Must(err)
			if len(ds) < 1 || len(ds) > 3 {
				p.Fatalf("ReceiveMany(3) returned %d messages", len(ds))
			}
			n += len(ds)
			p.sub.ack(ds...)
		}
		p.texts("alone")
		ds, err := p.sub.batch(50)
		if err != nil || len(ds) != 1 {
			p.Errorf("ReceiveMany(50) with one message there: %d messages, %v", len(ds), err)
		}
	})},
	{Name: "pubsub/topic-isolation", Rule: "a message arrives only on its own topic, however similar the names of other topics are", Run: topicIsolation},
	{Name: "pubsub/group-isolation", Rule: "groups are separate, however similar their names and the names of their topics are", Run: groupIsolation},
	{Name: "pubsub/handles-apart", Rule: "closing one handle of a topic or consumer of a group leaves the others as they are, with what they hold", Run: piped(handlesApart)},
	{Name: "pubsub/resubscribe", Rule: "a group whose consumer closes and opens again and again gets every message once", Run: piped(func(p *pipe) {
		for i := range 15 {
			want := series(fmt.Sprintf("round%d-", i), 3)
			p.texts(want...)
			p.sub.takeTexts("a round", want...)
			p.reopen()
		}
		p.sub.quiet("everything is acknowledged")
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
		stops = append(stops, sub.handle(func(_ context.Context, d *pubsub.Delivery) error {
			arrive()
			select {
			case <-came[1-i]:
			case <-time.After(p.Patience()):
				p.Errorf("one of two consumers got no message for %v while the other had some", p.Patience())
			}
			all.add(d.Body)
			return nil
		}, pubsub.Prefetch(0)))
	}
	want := series("m", 40)
	p.texts(want...)
	all.reaches(p.T, len(want))
	for _, stop := range stops {
		p.Must(stop())
	}
	wantSame(p.T, "what two handlers got", all.got(), want)
}

func topicIsolation(t *suite.T) {
	base := t.Name()
	names := []string{base, base + "x", base + ".x", base + "-x", base + "_x", base + ".X", base + ".x.y", base + ".."}
	subs := make([]*consumer, len(names))
	for i, name := range names {
		subs[i] = &consumer{t.Subscribe(name, pubsub.Group("g")), t}
	}
	for _, name := range slices.Backward(names) { // so that the right ones do not come by chance
		_, err := t.Topic(name).Publish(t.Context(), pubsub.Message{Body: []byte("to " + name)})
		t.Must(err)
	}
	for i, name := range names {
		subs[i].takeTexts("the topic "+name, "to "+name)
	}
	for _, sub := range subs {
		sub.quiet("one message was published to each topic")
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
		for _, body := range series(name, 3) {
			_, err := topic.Publish(t.Context(), pubsub.Message{Body: []byte(body)})
			t.Must(err)
		}
	}
	for i, pair := range pairs {
		subs[i].takeTexts(fmt.Sprintf("the group %q of the topic %q", pair[1], pair[0]), series(pair[0], 3)...)
	}
	subs[0].quiet("every group has its messages")
}

func handlesApart(p *pipe) {
	topic, other := p.T.Topic(p.topic), p.join()
	p.texts("a", "b")
	mine, theirs := p.sub.get(1)[0], other.get(1)[0]
	p.sub.close()
	p.Must(topic.Close(p.Context()))
	again := other.get(1)[0]
	if string(again.Body) != string(mine.Body) {
		p.Errorf("after a consumer that held %s closed, %s came", mine.Body, again.Body)
	}
	other.quiet("the consumer that is left holds both messages")
	other.ack(theirs, again)
	p.texts("c")
	other.takeTexts("after another handle of the topic was closed", "c")
}
