package pubsubcases

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var ordered = []fairlead.Claim{pubsub.Ordered}

var orderCases = []suite.Case{
	{Name: "pubsub/ordered", Needs: ordered, Rule: "one consumer gets a thousand messages, published singly and in batches, in the order of publication", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 1000)
		var publishing sync.WaitGroup
		defer publishing.Wait()
		publishing.Go(func() { publishInOrder(p, want) })
		wantOrder(p.T, "one consumer", p.receiveOrdered(len(want)), want)
	})},
	{Name: "pubsub/ordered-batch", Needs: ordered, Rule: "the messages of one PublishMany are delivered in its order, across the limits of driver calls", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", min(2*max(p.Facet().Limits.MaxBatch, 100)+50, 2050))
		p.publishTexts(want...)
		wantOrder(p.T, "one consumer", p.receiveOrdered(len(want)), want)
	})},
	{Name: "pubsub/ordered-backlog", Needs: ordered, Rule: "messages that were stored earlier are delivered before messages that are stored while the consumer receives", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 60)
		p.publishTexts(want[:30]...)
		got := bodies(p.sub.receive(10))
		p.publishTexts(want[30:]...)
		wantOrder(p.T, "one consumer that settles nothing", append(got, bodies(p.sub.receive(50))...), want)
	})},
	{Name: "pubsub/ordered-reopen", Needs: ordered, Rule: "a consumer that continues where another one closed gets the rest in order", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 100)
		p.publishTexts(want[:60]...)
		got := p.receiveOrdered(30)
		p.reopen()
		p.publishTexts(want[60:]...)
		wantOrder(p.T, "two consumers, one after the other", append(got, p.receiveOrdered(70)...), want)
	})},
	{Name: "pubsub/ordered-publishers", Needs: ordered, Rule: "each of eight concurrent publishers finds its messages in the order in which they were acknowledged, and all groups get one order", Run: withPipe(orderedPublishers)},
	{Name: "pubsub/ordered-given-back", Needs: ordered, Rule: "a message that comes again does not change the order of the messages that come for the first time", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 40)
		p.publishTexts(want...)
		seen := map[string]bool{}
		var first []string
		for len(first) < len(want) {
			d := p.sub.receive(1)[0]
			if body := string(d.Body); !seen[body] {
				seen[body] = true
				if first = append(first, body); len(first)%10 == 3 {
					p.sub.giveBack(d, 0)
					continue
				}
			}
			p.sub.ackAll(d)
		}
		wantOrder(p.T, "the messages that came for the first time", first, want)
	})},
}

// publishInOrder publishes the bodies by one publisher, singly and in batches.
func publishInOrder(p *pipe, all []string) {
	for i := 0; len(all) > 0; i++ {
		n := 1
		if i%4 == 3 {
			n = min(50, len(all))
		}
		if _, err := p.pub.PublishMany(p.Context(), textMessages(all[:n]...)...); err != nil {
			p.Errorf("publishing: %v", err)
			return
		}
		all = all[n:]
	}
}

// receiveOrdered receives and acknowledges n messages, a few at a time.
func (p *pipe) receiveOrdered(n int) []string { return bodies(p.sub.receiveAndAck(n)) }

func orderedPublishers(p *pipe) {
	const publishers, each = 8, 30
	other := p.joinGroup(p.T.Name())
	suite.RunConcurrently(publishers, func(i int) {
		for _, body := range numberedTexts(fmt.Sprintf("p%d-", i), each) {
			if _, err := p.pub.Publish(p.Context(), pubsub.Message{Body: []byte(body)}); err != nil {
				p.Errorf("publishing: %v", err)
				return
			}
		}
	})
	got := p.receiveOrdered(publishers * each)
	for i := range publishers {
		prefix := fmt.Sprintf("p%d-", i)
		wantOrder(p.T, "the messages of one publisher", keepPrefix(prefix, got), numberedTexts(prefix, each))
	}
	wantOrder(p.T, "another group, compared with the first", bodies(other.receiveAndAck(publishers*each)), got)
}

// keepPrefix returns the bodies that begin with prefix.
func keepPrefix(prefix string, all []string) []string {
	var out []string
	for _, b := range all {
		if strings.HasPrefix(b, prefix) {
			out = append(out, b)
		}
	}
	return out
}

var byKey = []fairlead.Claim{pubsub.OrderedByKey}

var keyCases = []suite.Case{
	{Name: "pubsub/key-one", Needs: byKey, Rule: "the next message of a key comes only when the one before it is acknowledged, to any consumer; other keys and messages without a key do not wait", Run: withPipe(keyOne)},
	{Name: "pubsub/key-nack", Needs: byKey, Rule: "a message that is given back comes again before the later messages of its key", Run: withPipe(func(p *pipe) {
		other := p.join()
		p.publish(keyedMessages("k", 3)...)
		for i := range 3 {
			p.sub.giveBack(p.receiveHead("k", p.sub, 0), 0)
			p.wantSilenceAtBoth(other, i)
		}
		for i := range 3 {
			p.sub.ackAll(p.receiveHead("k", p.sub, i))
		}
	})},
	{Name: "pubsub/key-close", Needs: byKey, Rule: "a message whose consumer closed comes again before the later messages of its key", Run: withPipe(func(p *pipe) {
		p.publish(keyedMessages("k", 3)...)
		for i := range 3 {
			p.receiveHead("k", p.sub, i)
			p.reopen()
			p.sub.ackAll(p.receiveHead("k", p.sub, i))
		}
	})},
	{Name: "pubsub/key-lease", Needs: byKey, Rule: "a message whose lease ended comes again before the later messages of its key, to any consumer", Run: func(t *suite.T) {
		p := newPipe(t, withShortLease(t))
		other := p.join(withShortLease(t))
		p.publish(keyedMessages("k", 3)...)
		p.receiveHead("k", p.sub, 0)
		// Each delivery may come after the previous lease has ended: no
		// message is acknowledged, so every delivery must be the head.
		p.receiveHead("k", other, 0)
		p.receiveHead("k", p.sub, 0)
	}},
	{Name: "pubsub/key-delay", Needs: []fairlead.Claim{pubsub.OrderedByKey, pubsub.NackDelay}, Rule: "a message that is given back with a delay holds back the later messages of its key, and no others", Run: withPipe(func(p *pipe) {
		p.publish(append(keyedMessages("k", 2), keyedMessages("other", 1)...)...)
		for _, d := range p.sub.receive(2) {
			if d.Key == "k" {
				p.sub.giveBack(d, time.Second)
			} else {
				p.sub.ackAll(d)
			}
		}
		began := time.Now()
		p.publish(keyedMessages("third", 1)...)
		var got []string
		for range 3 {
			got = append(got, bodies(p.sub.receiveAndAck(1))...)
			if early := time.Since(began) < 800*time.Millisecond; early && got[len(got)-1] != "third0000" {
				p.Errorf("%s came within 800 ms, its key was held back for a second", got[len(got)-1])
			}
		}
		wantOrder(p.T, "the key that was held back", keepPrefix("k", got), numberedTexts("k", 2))
	})},
	{Name: "pubsub/key-groups", Needs: byKey, Rule: "messages in flight in one group hold back no message of another group", Run: withPipe(func(p *pipe) {
		other := p.joinGroup(p.T.Name())
		p.publish(keyedMessages("k", 5)...)
		p.receiveHead("k", p.sub, 0)
		wantOrder(p.T, "a group beside one that settles nothing", bodies(other.receiveAndAck(5)), numberedTexts("k", 5))
	})},
	{Name: "pubsub/key-wakes", Needs: byKey, Rule: "a consumer that waits gets the next message with a key when another consumer acknowledges the one before", Run: withPipe(func(p *pipe) {
		p.publish(keyedMessages("k", 2)...)
		head := p.receiveHead("k", p.sub, 0)
		other := p.join()
		waiting := other.receiveInBackground(p.Context())
		p.sub.ackAll(head)
		r := receiveFrom(p.T, "the next message with the key comes", waiting)
		p.Must(r.err)
		other.ackAll(r.d)
	})},
	{Name: "pubsub/key-broadcast", Needs: []fairlead.Claim{pubsub.OrderedByKey, pubsub.Broadcast}, Rule: "a broadcast subscription gets the messages of one key in order and one at a time, also when one comes again and when it already waits", Run: withPipe(keyBroadcast)},
	{Name: "pubsub/key-many", Needs: byKey, Rule: "messages with eighty different keys are all delivered while none is acknowledged, also after a long queue of one key", Run: withPipe(func(p *pipe) {
		p.publish(keyedMessages("long", 200)...)
		for i := range 80 {
			p.publish(keyedMessages(fmt.Sprintf("key%d-", i), 1)...)
		}
		keys := map[string]bool{}
		for _, d := range p.sub.receive(81) {
			if keys[d.Key] {
				p.Errorf("two messages with the key %q are in flight", d.Key)
			}
			keys[d.Key] = true
		}
	})},
	{Name: "pubsub/key-reopen", Needs: byKey, Rule: "a consumer that continues where another one closed gets the messages of each key in order", Run: withPipe(func(p *pipe) {
		p.publish(keyedMessages("a", 20)...)
		p.publish(keyedMessages("b", 20)...)
		got := p.receiveOrdered(15)
		p.sub.receive(1)
		p.reopen()
		got = append(got, p.receiveOrdered(25)...)
		wantOrder(p.T, "the messages with the key a", keepPrefix("a", got), numberedTexts("a", 20))
		wantOrder(p.T, "the messages with the key b", keepPrefix("b", got), numberedTexts("b", 20))
	})},
	{Name: "pubsub/key-handlers", Needs: byKey, Rule: "three consumers with eight handlers each handle the messages of each key in order and one at a time, also when some fail", Run: withPipe(keyHandlers)},
}

// receiveHead receives a message and demands that it is the i-th with the key.
func (p *pipe) receiveHead(key string, from *consumer, i int) *pubsub.Delivery {
	d := from.receive(1)[0]
	if want := numberedTexts(key, i+1)[i]; string(d.Body) != want {
		p.Fatalf("%s came, want %s, the first with the key %q that is not acknowledged", d.Body, want, key)
	}
	return d
}

// wantSilenceAtBoth takes the head that comes again, demands that nothing else
// comes to either consumer, and only then returns the head to its group.
func (p *pipe) wantSilenceAtBoth(other *consumer, round int) {
	d := p.receiveHead("k", other, 0)
	p.sub.wantSilence(fmt.Sprintf("the head of the key is in flight, round %d", round))
	other.giveBack(d, 0)
}

func keyOne(p *pipe) {
	other := p.join()
	p.publish(append(keyedMessages("a", 3), keyedMessages("b", 1)...)...)
	p.publishTexts("plain", "plain too")
	ds := p.sub.receive(4)
	wantSame(p.T, "the heads and the messages without a key", bodies(ds), []string{"a0000", "b0000", "plain", "plain too"})
	p.sub.wantSilence("one message with the key is in flight")
	other.wantSilence("one message with the key is in flight, at another consumer")
	for _, d := range ds {
		p.sub.ackAll(d)
	}
	next := p.receiveHead("a", other, 1)
	p.sub.wantSilence("one message with the key is in flight, at another consumer")
	other.ackAll(next)
	p.sub.ackAll(p.receiveHead("a", p.sub, 2))
}

func keyBroadcast(p *pipe) {
	sub := p.subscribe(pubsub.WithoutGroup())
	next := sub.receiveInBackground(p.Context())
	p.publish(keyedMessages("k", 4)...)
	for _, want := range numberedTexts("k", 4) {
		r := receiveFrom(p.T, "a Receive that waits gets the next message with the key", next)
		p.Must(r.err)
		sub.giveBack(r.d, 0)
		again := sub.receive(1)[0]
		wantOrder(p.T, "the message whose turn it is, twice", bodies([]*pubsub.Delivery{r.d, again}), []string{want, want})
		sub.wantSilence("one message with the key is in flight")
		next = sub.receiveInBackground(p.Context())
		sub.ackAll(again)
	}
	p.publishTexts("last")
	r := receiveFrom(p.T, "a Receive that waits gets a message without a key", next)
	p.Must(r.err)
	wantOrder(p.T, "the message that comes when all with the key are acknowledged", bodies([]*pubsub.Delivery{r.d}), []string{"last"})
}
