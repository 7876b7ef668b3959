package pubsubcases

import (
	"context"
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var releasing = []fairlead.Claim{pubsub.Release, pubsub.DeliveryCount}

// releaseCases are about messages that were received and that no handler began.
var releaseCases = []suite.Case{
	{Name: "pubsub/release", Needs: releasing, Rule: "when Handle ends, the messages that no handler has begun come again at once, and count as never delivered", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("m", 12)...)
		p.handleFirst(8)
		for _, d := range p.sub.receiveAndAck(11) {
			p.wantAttempt("that no handler had begun", d, 1)
		}
		p.sub.wantSilence("every message was handled once")
	})},
	{Name: "pubsub/release-dead-letter", Needs: releasing, Rule: "a message that no handler has begun does not become a dead letter, however often Handle ends", Run: func(t *suite.T) {
		dead := t.Name()
		p := newPipe(t, pubsub.DeadLetter(dead, 2))
		graves := p.subscribeDeadLetters(dead)
		const rounds = 4
		p.publishTexts(numberedTexts("m", rounds+8)...)
		for range rounds {
			p.handleFirst(8)
			p.Must(p.sub.Close(p.Context()))
			p.sub = p.join(pubsub.DeadLetter(dead, 2))
		}
		for _, d := range p.sub.receiveAndAck(8) {
			p.wantAttempt("that no handler had begun", d, 1)
		}
		graves.wantSilence("every message succeeded the first time")
	}},
	{Name: "pubsub/release-close", Needs: releasing, Rule: "a message that a subscription has fetched, and no Receive has returned, counts as never delivered when it closes", Run: withPipe(func(p *pipe) {
		p.publishTexts(numberedTexts("m", 10)...)
		handed := map[string]bool{}
		for range 3 {
			d, err := p.sub.Receive(p.Within(p.Patience()))
			p.Must(err)
			handed[string(d.Body)] = true
		}
		p.reopen()
		for _, d := range p.sub.receiveAndAck(10) {
			want := 1
			if handed[string(d.Body)] {
				want = 2
			}
			p.wantAttempt(fmt.Sprintf("after its consumer closed (handed out before: %v)", handed[string(d.Body)]), d, want)
		}
	})},
}

// handleFirst runs Handle with one handler and a prefetch, until the handler has
// one message and the others had time to be fetched, ends it, and lets the handler
// succeed.
func (p *pipe) handleFirst(prefetch int) {
	began := make(chan struct{}, 100)
	stop := p.sub.handleInBackground(func(ctx context.Context, _ *pubsub.Delivery) error {
		began <- struct{}{}
		<-ctx.Done()
		return nil
	}, pubsub.Prefetch(prefetch))
	receiveFrom(p.T, "the handler gets a message", began)
	time.Sleep(silence) // for the messages that are fetched ahead
	p.Must(stop())
	if n := len(began); n > 0 {
		p.Fatalf("%d more handlers began, although the context of Handle had ended", n)
	}
}
