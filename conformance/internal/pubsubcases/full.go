package pubsubcases

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

const fullTimeout = 2 * time.Minute

// fullCases are about a backend that has no space for another message. What makes
// space must work there: otherwise it stays full.
var fullCases = []suite.Case{
	{Name: "pubsub/full-refused", Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "a full backend refuses a message with Unavailable, never with an unknown outcome; the error says that it is full; what was refused never comes, and everything that was stored does",
		Run:  withPipe(fullRefused)},
	{Name: "pubsub/full-ack", Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "on a full backend, messages are received and acknowledged, and do not come again, also not to a later consumer",
		Run:  withPipe(fullAck)},
	{Name: "pubsub/full-nack", Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "on a full backend, a message is given back, comes again, and is acknowledged",
		Run: withPipe(func(p *pipe) {
			p.publishTexts("a", "b")
			ds := p.sub.receive(2)
			p.fillBackend()
			p.sub.giveBack(ds[0], 0)
			p.sub.wantTexts("what was given back on a full backend", string(ds[0].Body))
			p.sub.ackAll(ds[1])
			p.sub.wantSilence("both messages were acknowledged on a full backend")
		})},
	{Name: "pubsub/full-extend", Needs: extending, Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "on a full backend, a lease is extended: the message of a handler that takes longer than its lease comes to nobody else",
		Run:  fullExtend},
	{Name: "pubsub/full-close", Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "on a full backend, a subscription closes, and what it held comes to another consumer at once",
		Run: withPipe(func(p *pipe) {
			other := p.join()
			p.publishTexts("a", "b")
			held := len(p.sub.receive(1)) // the other message may come to either of the two
			p.fillBackend()
			if err := p.sub.Close(p.Within(p.Patience())); err != nil {
				p.Errorf("closing a subscription on a full backend: %v", err)
			}
			other.wantTexts(fmt.Sprintf("all messages, after a consumer that held %d closed", held), "a", "b")
		})},
	{Name: "pubsub/full-key", Needs: []fairlead.Claim{pubsub.OrderedByKey}, Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "on a full backend, the messages of a key come one after the other as they are acknowledged",
		Run: withPipe(func(p *pipe) {
			p.publish(append(keyedMessages("k", 10), keyedMessages("l", 10)...)...)
			p.fillBackend()
			all := bodies(p.sub.receiveAndAck(20))
			for _, key := range []string{"k", "l"} {
				wantOrder(p.T, "the messages of the key "+key, keepPrefix(key, all), numberedTexts(key, 10))
			}
			p.sub.wantSilence("all messages were acknowledged")
		})},
	{Name: "pubsub/full-delete", Needs: []fairlead.Claim{pubsub.Manage}, Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "on a full backend, groups and topics are deleted",
		Run: withPipe(func(p *pipe) {
			p.publishTexts(numberedTexts("m", 10)...)
			group := p.Name()
			p.joinGroup(group).close()
			p.fillBackend()
			if err := pubsub.DeleteGroup(p.Within(p.Patience()), p.Provider(), p.topic, group); err != nil {
				p.Errorf("deleting a group on a full backend: %v", err)
			}
			if err := pubsub.DeleteTopic(p.Within(p.Patience()), p.Provider(), p.topic); err != nil {
				p.Errorf("deleting a topic on a full backend: %v", err)
			}
			topics, err := pubsub.Topics(p.Context(), p.Provider(), p.topic)
			if p.Must(err); slices.Contains(topics, p.topic) {
				p.Errorf("the topic %s is still there", p.topic)
			}
		})},
	{Name: "pubsub/full-handle", Fill: true, Full: true, Timeout: fullTimeout,
		Rule: "Handle works through a backlog on a full backend, continues when there is space again, and ends with nil",
		Run:  withPipe(fullHandle)},
}

// fillBackend fills the backend, and demands that publishing is refused as it must
// be. It returns the bodies that were refused, and the function that frees it.
func (p *pipe) fillBackend() (refused []string, free func()) {
	topic := p.Topic(p.Name())
	free = p.Fill()
	began := time.Now()
	for size := 64 << 10; ; {
		_, err := topic.Publish(p.Within(p.Patience()), pubsub.Message{Body: make([]byte, size)})
		if err == nil {
			p.CheckFilled(began)
			continue
		}
		p.WantFull("Publish", err)
		if size == 1 {
			break
		}
		size = 1
	}
	for i := range 3 {
		body := fmt.Sprintf("refused%d", i)
		if _, err := p.pub.Publish(p.Within(p.Patience()), pubsub.Message{Body: []byte(body)}); err != nil {
			p.WantFull("Publish to the topic of the case", err)
			refused = append(refused, body)
		}
	}
	if len(refused) == 0 {
		p.Fatalf("the backend refused a message of a byte, and then took three longer ones")
	}
	return refused, free
}

func fullRefused(p *pipe) {
	stored := numberedTexts("m", 10)
	p.publishTexts(stored...)
	refused, free := p.fillBackend()
	free()
	p.Eventually(p.Patience(), "a message is stored when there is space again", func() bool {
		_, err := p.publishOne("end")
		return err == nil
	})
	var all []string
	for !slices.Contains(all, "end") || len(keepPrefix("m", all)) < len(stored) {
		all = append(all, bodies(p.sub.receiveAndAck(1))...)
	}
	wantSame(p.T, "the messages from before", keepPrefix("m", all), stored)
	for _, body := range refused {
		if slices.Contains(all, body) {
			p.Errorf("%s came, and its publication had been refused", body)
		}
	}
}

func fullAck(p *pipe) {
	stored := numberedTexts("m", 60)
	p.publishTexts(stored...)
	first := p.sub.receive(5)
	p.fillBackend()
	p.sub.ackAll(first...)
	rest := p.sub.receiveAndAck(len(stored) - len(first))
	wantSame(p.T, "the messages from before", append(bodies(first), bodies(rest)...), stored)
	p.sub.wantSilence("all messages were acknowledged on a full backend")
	p.reopen()
	p.sub.wantSilence("all messages were acknowledged on a full backend, and the consumer has joined again")
}

// fullExtend extends a lease every quarter of its length. A run in which the
// suite itself was too slow for that proves nothing, and is repeated.
func fullExtend(t *suite.T) {
	p := newPipe(t)
	_, free := p.fillBackend()
	free()
	t.Eventually(t.Patience(), "a message is stored when there is space again", func() bool {
		_, err := p.publishOne("end")
		return err == nil
	})
	for deadline := max(shortLease(t), time.Second); deadline < 20*time.Second; deadline *= 2 {
		if extendOnFullBackend(t, deadline) {
			return
		}
	}
	t.Errorf("this machine is too slow for the case: in no attempt were four calls of Extend less than a lease apart")
}

func extendOnFullBackend(t *suite.T, deadline time.Duration) (inTime bool) {
	p := newPipe(t, pubsub.AckDeadline(deadline))
	other := p.join(pubsub.AckDeadline(deadline))
	p.publishTexts("m")
	extended := time.Now() // the lease begins after this
	d := p.sub.receive(1)[0]
	free := t.Fill()
	defer free()
	ctx, cancel := context.WithTimeout(t.Context(), 4*deadline)
	defer cancel()
	var came atomic.Bool
	go func() {
		if d, err := other.Receive(ctx); err == nil && string(d.Body) == "m" {
			came.Store(true)
		}
	}()
	for range 8 {
		time.Sleep(deadline / 4)
		asked := time.Now()
		err := d.Extend(t.Context())
		if time.Since(extended) > deadline*9/10 {
			return false
		}
		if extended = asked; err != nil {
			t.Errorf("extending a lease on a full backend: %v", err)
			return true
		}
		if came.Load() {
			t.Errorf("the message came to another consumer while its lease was extended")
			return true
		}
	}
	p.sub.ackAll(d)
	return true
}

func fullHandle(p *pipe) {
	stored := numberedTexts("m", 40)
	p.publishTexts(stored...)
	_, free := p.fillBackend()
	var all tally
	stop := p.sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error { all.count(d.Body); return nil }, pubsub.Concurrency(4))
	all.waitUntil(p.T, len(stored))
	free()
	p.Eventually(p.Patience(), "a message is stored when there is space again", func() bool {
		_, err := p.publishOne("end")
		return err == nil
	})
	p.Eventually(p.Patience(), "Handle gets what is published when there is space again", func() bool { return slices.Contains(all.texts(), "end") })
	p.Must(stop())
	wantSame(p.T, "what the handler got of the messages from before", keepPrefix("m", all.texts()), stored)
}
