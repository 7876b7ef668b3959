package pubsubcases

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

// prompt bounds an event that must happen within about a second, on a machine
// that may be busy.
const prompt = 4 * time.Second

var closeCases = []suite.Case{
	{Name: "pubsub/close-inflight", Rule: "the messages that a consumer holds when it closes come to another consumer at once, not when the lease ends", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 5)
		p.publishTexts(want...)
		p.sub.receive(3)
		p.sub.close()
		p.join().wantTexts("after a consumer with three messages closed", want...)
	})},
	{Name: "pubsub/close-inflight-waiting", Rule: "a consumer that already waits gets the messages that another one held when it closed", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		p.sub.receive(1)
		other := p.join()
		waiting := other.receiveInBackground(p.Context())
		p.sub.close()
		r := receiveFrom(p.T, "a consumer that waits gets what a closed one held", waiting)
		p.Must(r.err)
		other.ackAll(r.d)
	})},
	{Name: "pubsub/close-fetched", Rule: "messages that the provider prefetched for a consumer that closes come to another one at once", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 40)
		p.publishTexts(want...)
		p.sub.receive(1)
		p.sub.close()
		p.join().wantTexts("after a consumer closed that received one of forty", want...)
	})},
	{Name: "pubsub/close-topic", Rule: "Publish and PublishMany fail with Closed after Close; earlier messages arrive", Run: withPipe(func(p *pipe) {
		p.publishTexts("before")
		p.Must(p.pub.Close(p.Context()))
		_, err := p.pub.Publish(p.Context(), pubsub.Message{Body: []byte("after")})
		p.WantCode("Publish on a closed topic", err, fairlead.Closed)
		results, err := p.pub.PublishMany(p.Context(), textMessages("after")...)
		p.WantCode("PublishMany on a closed topic", err, fairlead.Closed)
		if results != nil {
			p.Errorf("PublishMany on a closed topic has the results %+v, want none", results)
		}
		p.sub.wantTexts("published before Close", "before")
		p.sub.wantSilence("nothing was published after Close")
	})},
	{Name: "pubsub/close-subscription", Rule: "Receive, Ack, Nack and Handle fail with Closed after Close, and settle nothing", Run: withPipe(func(p *pipe) {
		p.publishTexts("a", "b")
		ds := p.sub.receive(2)
		p.sub.close()
		_, err := p.sub.Receive(p.Context())
		p.WantCode("Receive on a closed subscription", err, fairlead.Closed)
		p.WantCode("Ack on a closed subscription", ds[0].Ack(p.Context()), fairlead.Closed)
		p.WantCode("Nack on a closed subscription", ds[1].Nack(p.Context(), 0), fairlead.Closed)
		handled := make(chan error, 1)
		go func() {
			handled <- p.sub.Handle(p.Context(), func(context.Context, *pubsub.Delivery) error { return nil })
		}()
		p.WantCode("Handle on a closed subscription", receiveFrom(p.T, "Handle on a closed subscription returns", handled), fairlead.Closed)
		p.join().wantTexts("what was not settled", "a", "b")
	})},
	{Name: "pubsub/close-twice", Rule: "closing twice is no error, and keeps the group and its messages", Run: withPipe(func(p *pipe) {
		p.publishTexts("m")
		for range 3 {
			p.Must(p.pub.Close(p.Context()))
			p.sub.close()
		}
		p.join().wantTexts("published before all was closed", "m")
	})},
	{Name: "pubsub/close-wakes", Rule: "a Receive and a Handle that wait return with Closed within about a second of Close", Run: withPipe(func(p *pipe) {
		handled := make(chan error, 1)
		go func() {
			handled <- p.sub.Handle(p.Context(), func(context.Context, *pubsub.Delivery) error { return nil })
		}()
		waiting := p.sub.receiveInBackground(p.Context())
		began := time.Now()
		p.sub.close()
		r := receiveFrom(p.T, "a Receive that waits ends when its subscription is closed", waiting)
		p.WantCode("the Receive that waited", r.err, fairlead.Closed)
		p.WantCode("the Handle that waited", receiveFrom(p.T, "a Handle that waits ends when its subscription is closed", handled), fairlead.Closed)
		if took := time.Since(began); took > prompt {
			p.Errorf("they returned %v after Close", took)
		}
	})},
	{Name: "pubsub/cancel-wakes", Rule: "a Receive that waits returns within about a second of the end of its context, with that context's code", Run: withPipe(cancelWakes)},
	{Name: "pubsub/cancel-loses-nothing", Timeout: 2 * time.Minute, Rule: "a message that a Receive had taken when its context ended comes again, at the latest when its lease ends", Run: cancelLosesNothing},
	{Name: "pubsub/close-concurrent", Rule: "Close during concurrent Publish, Receive, settlements and Close neither hangs nor panics, and acknowledged messages are there", Run: closeConcurrent},
	{Name: "pubsub/close-provider", Needs: []fairlead.Claim{fairlead.Shared}, Rule: "closing a provider gives back at once the messages that its consumers hold, and ends them with Closed", Run: closeProvider},
	{Name: "pubsub/rolling", Needs: []fairlead.Claim{fairlead.Shared}, Timeout: 2 * time.Minute, Rule: "while consumers join a group under load, and others stop and immediately close their provider, every message is handled once, and none waits for a lease to end", Run: testRolling},
}

func cancelWakes(p *pipe) {
	canceled, cancel := context.WithCancel(p.Context())
	late, stop := context.WithTimeout(p.Context(), 60*time.Millisecond)
	defer stop()
	one, two := p.sub.receiveInBackground(canceled), p.sub.receiveInBackground(late)
	cancel()
	for code, waiting := range map[fairlead.Code]<-chan received{fairlead.Canceled: one, fairlead.DeadlineExceeded: two} {
		r := receiveFrom(p.T, "a Receive that waits ends with its context", waiting)
		p.WantCode("the Receive whose context ended", r.err, code)
		if r.took > prompt {
			p.Errorf("a Receive whose context ended within 100 ms returned after %v", r.took)
		}
	}
	p.publishTexts("after")
	p.sub.wantTexts("after two calls of Receive were given up", "after")
}

// cancelLosesNothing gives up many calls of Receive just when messages come.
func cancelLosesNothing(t *suite.T) {
	p := newPipe(t, withShortLease(t))
	want := numberedTexts("m", 60)
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		for _, body := range want {
			if _, err := p.pub.Publish(t.Context(), pubsub.Message{Body: []byte(body)}); err != nil {
				t.Errorf("publishing: %v", err)
			}
		}
	})
	left := map[string]bool{}
	for _, body := range want {
		left[body] = true
	}
	for i := 0; len(left) > 0; i++ {
		wait := t.Patience()
		if i < 200 {
			wait = time.Duration(i%40) * 100 * time.Microsecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		ds, err := p.sub.ReceiveMany(ctx, 3)
		cancel()
		if i >= 200 && err != nil {
			t.Fatalf("%d messages never came after calls of Receive were given up: %v", len(left), err)
		}
		for _, d := range ds {
			// The lease of a slow run may have ended, which does not matter here.
			if err := d.Ack(t.Context()); err == nil || errors.Is(err, pubsub.ErrLeaseLost) {
				delete(left, string(d.Body))
			}
		}
	}
}

func closeConcurrent(t *suite.T) {
	for round := range 4 {
		p := newPipe(t)
		keeper := p.joinGroup(t.Name())
		var mu sync.Mutex
		stored := map[string]bool{}
		publisher := func(i int) {
			for j := range 200 {
				body := fmt.Sprintf("%d-%d-%d", round, i, j)
				_, err := p.pub.Publish(t.Context(), pubsub.Message{Body: []byte(body)})
				if err != nil {
					wantClosedOrNothing(t, "Publish", err)
					return
				}
				mu.Lock()
				stored[body] = true
				mu.Unlock()
			}
		}
		receiver := func() {
			for {
				ds, err := p.sub.receiveBatch(5)
				if err != nil {
					wantClosedOrNothing(t, "Receive", err)
					return
				}
				for _, d := range ds {
					wantClosedOrNothing(t, "Ack", d.Ack(t.Context()))
				}
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			suite.RunConcurrently(8, func(i int) {
				switch {
				case i < 3:
					publisher(i)
				case i < 6:
					receiver()
				default:
					time.Sleep(10 * time.Millisecond)
					wantClosedOrNothing(t, "Close of the subscription", p.sub.Close(t.Context()))
					wantClosedOrNothing(t, "Close of the topic", p.pub.Close(t.Context()))
				}
			})
		}()
		receiveFrom(t, "closing while publishing and receiving ends", done)
		for len(stored) > 0 {
			delete(stored, string(keeper.receiveAndAck(1)[0].Body))
		}
	}
}

// wantClosedOrNothing accepts the errors that a call may return during a Close. A
// settlement may find that Close has returned its message to the group.
func wantClosedOrNothing(t *suite.T, what string, err error) {
	switch fairlead.CodeOf(err) {
	case 0, fairlead.Closed, fairlead.Conflict, fairlead.UnknownOutcome:
	default:
		t.Errorf("%s during Close: %v", what, err)
	}
}

func closeProvider(t *suite.T) {
	p := newPipe(t)
	second := t.Open()
	other := &consumer{t.SubscribeOf(second, p.topic, pubsub.Group(p.group)), t}
	idle := &consumer{t.SubscribeOf(second, p.topic, pubsub.Group(t.Name())), t}
	waiting := idle.receiveInBackground(t.Context())
	want := numberedTexts("m", 3)
	_, err := t.TopicOf(second, t.Name()).PublishMany(t.Context(), textMessages("elsewhere")...)
	t.Must(err)
	p.publishTexts(want...)
	other.receive(2)
	r := receiveFrom(t, "the other group gets a message", waiting)
	t.Must(r.err)
	idle.receiveAndAck(2)
	waiting = idle.receiveInBackground(t.Context())
	t.Must(second.Close(t.Context()))
	r = receiveFrom(t, "a Receive that waits ends when its provider is closed", waiting)
	t.WantCode("the Receive that waited", r.err, fairlead.Closed)
	p.sub.wantTexts("after the provider of a consumer with two messages closed", want...)
}

// testRolling replaces consumers one after the other, as a rolling update does.
// Each has a provider of its own.
func testRolling(t *suite.T) {
	var stored, handled tally
	topic := t.Name()
	works, leave := startRollingConsumer(t, topic, &handled)
	pub := t.Topic(topic)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				body := fmt.Appendf(nil, "%d-%d", i, j)
				if _, err := pub.Publish(t.Context(), pubsub.Message{Body: body}); err != nil {
					t.Errorf("publishing: %v", err)
					return
				}
				stored.count(body)
				for stored.total()-handled.total() > 100 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	works()
	for range 8 {
		works, next := startRollingConsumer(t, topic, &handled)
		works()
		leave()
		leave = next
	}
	cancel()
	load.Wait()
	handled.waitUntil(t, stored.total())
	leave()
	wantSame(t, "the messages that the replaced consumers handled", handled.texts(), stored.texts())
}

// startRollingConsumer starts a consumer that handles messages until it leaves.
// works waits until it has handled some.
func startRollingConsumer(t *suite.T, topic string, all *tally) (works, leave func()) {
	p := t.Open()
	sub := &consumer{t.SubscribeOf(p, topic, pubsub.Group(topic)), t}
	var own atomic.Int64
	stop := sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
		all.count(d.Body)
		own.Add(1)
		return nil
	})
	works = func() {
		for n := range int64(16) { // each must come in time, on a slow backend too
			t.Eventually(t.Patience(), "a consumer that joined gets another message", func() bool { return own.Load() > n })
		}
	}
	return works, func() {
		t.Must(stop())
		t.Must(sub.Close(t.Context()))
		t.Must(p.Close(t.Context()))
	}
}
