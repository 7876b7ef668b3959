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

var (
	dedupes  = []fairlead.Claim{pubsub.Dedupe}
	atomics  = []fairlead.Claim{pubsub.AtomicBatch}
	managing = []fairlead.Claim{pubsub.Manage}
	shared   = []fairlead.Claim{fairlead.Shared}
)

var claimCases = []suite.Case{
	{Name: "pubsub/dedupe", Needs: dedupes, Rule: "a message with an id that was stored is not stored again, whatever its body; the receipt says Duplicate, and has the first message's position or none", Run: inWindow(dedupe)},
	{Name: "pubsub/dedupe-batch", Needs: dedupes, Rule: "of messages with one id in one batch only the first is stored", Run: inWindow(dedupeBatch)},
	{Name: "pubsub/dedupe-concurrent", Needs: dedupes, Rule: "of sixteen concurrent publications with one id exactly one is stored", Run: inWindow(dedupeConcurrent)},
	{Name: "pubsub/dedupe-topics", Needs: dedupes, Rule: "the same id on another topic, and another id on the same topic, are not duplicates", Run: withPipe(func(p *pipe) {
		other := newPipe(p.T)
		p.publish(pubsub.Message{ID: "id", Body: []byte("a")}, pubsub.Message{ID: "ID", Body: []byte("b")}, pubsub.Message{ID: "id2", Body: []byte("c")})
		other.publish(pubsub.Message{ID: "id", Body: []byte("d")})
		p.sub.wantTexts("different ids", "a", "b", "c")
		other.sub.wantTexts("another topic", "d")
	})},
	{Name: "pubsub/dedupe-window", Needs: dedupes, Rule: "an id can be used again after the window (tested where the window is at most 3 s)", Run: withPipe(func(p *pipe) {
		window := p.Facet().Limits.DedupeWindow
		p.publish(pubsub.Message{ID: "id", Body: []byte("first")})
		p.sub.wantTexts("an id", "first")
		if window > 3*time.Second {
			return
		}
		time.Sleep(window + window/2)
		if r := p.publish(pubsub.Message{ID: "id", Body: []byte("second")})[0]; r.Duplicate {
			p.Errorf("%v after an id was used it is a duplicate; the window is %v", window+window/2, window)
		}
		p.sub.wantTexts("an id whose window has passed", "second")
	})},
	{Name: "pubsub/atomic", Needs: atomics, Rule: "PublishAtomic stores all messages, in order where Ordered is claimed, and names their ids", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", min(50, p.Facet().Limits.MaxBatch))
		receipts, err := p.pub.PublishAtomic(p.Context(), textMessages(want...)...)
		p.Must(err)
		ids := map[string]bool{}
		for _, r := range receipts {
			ids[r.ID] = true
		}
		ds := p.sub.receiveAndAck(len(want))
		for _, d := range ds {
			if !ids[d.ID] {
				p.Errorf("%s arrived under the id %q, which no receipt has", d.Body, d.ID)
			}
		}
		wantSame(p.T, "an atomic batch", bodies(ds), want)
		if p.Facet().Has(pubsub.Ordered) {
			wantOrder(p.T, "an atomic batch", bodies(ds), want)
		}
	})},
	{Name: "pubsub/atomic-refused", Needs: atomics, Rule: "an atomic batch stores nothing if one of its messages is too large or invalid, or if it has too many messages", Run: withPipe(func(p *pipe) {
		limits := p.Facet().Limits
		good := pubsub.Message{Body: []byte("good")}
		_, err := p.pub.PublishAtomic(p.Context(), good, pubsub.Message{Body: make([]byte, limits.MaxMessageBytes+1)}, good)
		p.WantCode("an atomic batch with a message that is too large", err, fairlead.TooLarge)
		_, err = p.pub.PublishAtomic(p.Context(), good, good, pubsub.Message{ID: "\xff"})
		p.WantCode("an atomic batch with an invalid message", err, fairlead.Invalid)
		_, err = p.pub.PublishAtomic(p.Context(), make([]pubsub.Message, limits.MaxBatch+1)...)
		p.WantCode("an atomic batch that is too long", err, fairlead.TooLarge)
		p.publishTexts("after")
		p.sub.wantTexts("after atomic batches that were refused", "after")
		p.sub.wantSilence("nothing of them was stored")
	})},
	{Name: "pubsub/atomic-given-up", Needs: atomics, Rule: "if the context of an atomic batch ends meanwhile, all its messages are stored or none", Run: withPipe(atomicGivenUp)},
	{Name: "pubsub/manage-topics", Needs: managing, Rule: "Topics returns the topics with the prefix that were opened or subscribed to, in order, and no deleted one", Run: manageTopics},
	{Name: "pubsub/manage-delete-topic", Needs: managing, Rule: "a deleted topic is gone with its messages and groups: a new topic of its name is empty", Run: withPipe(func(p *pipe) {
		p.publishTexts("old", "older")
		p.sub.receive(1)
		p.sub.close()
		p.Must(p.pub.Close(p.Context()))
		p.Must(pubsub.DeleteTopic(p.Context(), p.Provider(), p.topic))
		p.sub, p.pub = p.join(), p.T.Topic(p.topic)
		p.publishTexts("new")
		p.sub.wantTexts("a topic that was deleted and opened again", "new")
		p.sub.wantSilence("the old messages were deleted")
	})},
	{Name: "pubsub/manage-delete-group", Needs: managing, Rule: "nothing is kept for a deleted group: a new group of its name starts empty; the other groups keep what they have", Run: withPipe(func(p *pipe) {
		other := p.joinGroup(p.T.Name())
		p.publishTexts("old", "older")
		p.sub.receive(1)
		p.sub.close()
		p.Must(pubsub.DeleteGroup(p.Context(), p.Provider(), p.topic, p.group))
		p.publishTexts("between")
		p.sub = p.join()
		p.publishTexts("new")
		p.sub.wantTexts("a group that was deleted and joined again", "new")
		p.sub.wantSilence("nothing was kept for it")
		other.wantTexts("another group of the topic", "old", "older", "between", "new")
	})},
	{Name: "pubsub/manage-missing", Needs: managing, Rule: "deleting a topic or group that does not exist is no error and creates none; a bad name is Invalid", Run: func(t *suite.T) {
		name := t.Name()
		t.Must(pubsub.DeleteTopic(t.Context(), t.Provider(), name))
		t.Must(pubsub.DeleteGroup(t.Context(), t.Provider(), name, "g"))
		t.WantCode("deleting a topic without a name", pubsub.DeleteTopic(t.Context(), t.Provider(), ""), fairlead.Invalid)
		t.WantCode("deleting a group with a bad name", pubsub.DeleteGroup(t.Context(), t.Provider(), name, "a b"), fairlead.Invalid)
		if names, err := pubsub.Topics(t.Context(), t.Provider(), name); err != nil || len(names) != 0 {
			t.Errorf("after deleting what did not exist: topics %q, %v", names, err)
		}
		p := newPipe(t)
		t.Must(pubsub.DeleteGroup(t.Context(), t.Provider(), p.topic, t.Name()))
		p.pub = t.Topic(p.topic)
		p.publishTexts("m")
		p.sub.wantTexts("after another group was deleted that did not exist", "m")
	}},
	{Name: "pubsub/shared", Needs: shared, Rule: "a message that is published through one Open arrives through another, at groups and at a Receive that already waits", Run: func(t *suite.T) {
		p, second := newPipe(t), t.Open()
		group := t.Name()
		far := &consumer{t.SubscribeOf(second, p.topic, pubsub.Group(group)), t}
		waiting := far.receiveInBackground(t.Context())
		p.publishTexts("here")
		r := receiveFrom(t, "a Receive that waits gets what is published through another Open", waiting)
		t.Must(r.err)
		far.ackAll(r.d)
		_, err := t.TopicOf(second, p.topic).Publish(t.Context(), pubsub.Message{Body: []byte("there")})
		t.Must(err)
		p.sub.wantTexts("published through two Opens", "here", "there")
		far.wantTexts("published through its own Open", "there")
	}},
	{Name: "pubsub/shared-group", Needs: shared, Rule: "consumers of a group share its messages across Opens, and continue where others stopped", Run: func(t *suite.T) {
		p, second := newPipe(t), t.Open()
		far := &consumer{t.SubscribeOf(second, p.topic, pubsub.Group(p.group)), t}
		want := numberedTexts("m", 10)
		p.publishTexts(want...)
		var got []string
		for i := range want {
			got = append(got, bodies([]*consumer{p.sub, far}[i%2].receiveAndAck(1))...)
		}
		wantSame(t, "two consumers of a group, each on its own Open", got, want)
		p.sub.wantSilence("every message went to one of the two")
		far.wantSilence("every message went to one of the two")
	}},
}

// inWindow runs a test of duplicates. If it took longer than ids are
// remembered, its result is void, and it runs again on another topic.
func inWindow(test func(p *pipe)) func(*suite.T) {
	return func(t *suite.T) {
		window := t.Facet().Limits.DedupeWindow
		for range 4 {
			p, began := newPipe(t), time.Now()
			test(p)
			if time.Since(began) < window/2 {
				p.sub.wantSilence("duplicates are not stored")
				return
			}
			t.ForgetFailures()
		}
		t.Errorf("a few publications took longer than %v each time, half of the window in which ids are remembered", window/2)
	}
}

func dedupe(p *pipe) {
	first := p.publish(pubsub.Message{ID: "id", Body: []byte("first")})[0]
	p.sub.wantTexts("a message with an id", "first")
	for _, body := range []string{"first", "another body"} {
		r := p.publish(pubsub.Message{ID: "id", Body: []byte(body)})[0]
		if !r.Duplicate || r.ID != "id" {
			p.Errorf("a repeated id: Duplicate is %v and the id %q, want true and %q", r.Duplicate, r.ID, "id")
		}
		if r.Position != "" && r.Position != first.Position {
			p.Errorf("the receipt of a duplicate has the position %q, the first receipt has %q", r.Position, first.Position)
		}
	}
	if first.Duplicate {
		p.Errorf("the receipt of the first message with an id says Duplicate")
	}
	p.publishTexts("without", "an id")
	p.sub.wantTexts("messages without an id", "without", "an id")
}

func dedupeBatch(p *pipe) {
	msgs := textMessages("first", "second", "other", "third")
	msgs[0].ID, msgs[1].ID, msgs[2].ID, msgs[3].ID = "id", "id", "id'", "id"
	for i, r := range p.publish(msgs...) {
		if want := i == 1 || i == 3; r.Duplicate != want {
			p.Errorf("message %d of the batch: Duplicate is %v, want %v", i, r.Duplicate, want)
		}
	}
	p.sub.wantTexts("a batch that repeats an id", "first", "other")
}

func dedupeConcurrent(p *pipe) {
	var stored atomic.Int32
	suite.RunConcurrently(16, func(i int) {
		r, err := p.pub.Publish(p.Context(), pubsub.Message{ID: "id", Body: []byte(fmt.Sprint(i))})
		if err != nil {
			p.Errorf("publishing: %v", err)
		} else if !r.Duplicate {
			stored.Add(1)
		}
	})
	if n := stored.Load(); n != 1 {
		p.Errorf("%d receipts say that the message was stored, want 1", n)
	}
	p.sub.receiveAndAck(1)
}

func atomicGivenUp(p *pipe) {
	const size = 5
	outcomes := map[string]error{}
	for i := range 60 {
		name := fmt.Sprintf("batch%02d-", i)
		ctx, cancel := context.WithTimeout(p.Context(), time.Duration(i)*50*time.Microsecond)
		_, outcomes[name] = p.pub.PublishAtomic(ctx, textMessages(numberedTexts(name, size)...)...)
		cancel()
	}
	_, err := p.pub.PublishAtomic(p.Context(), textMessages("last")...)
	p.Must(err)
	came := map[string]int{}
	stored := 1
	for _, err := range outcomes {
		if err == nil {
			stored += size
		}
	}
	// Batches with an unknown outcome may arrive, too.
	for got := 0; got < stored || came["last"] == 0; {
		body := string(p.sub.receiveAndAck(1)[0].Body)
		name := body
		if body != "last" {
			name = body[:len("batch00-")]
		}
		if came[name]++; name == "last" || outcomes[name] == nil {
			got++
		}
	}
	p.countLeft(came, size)
	for name, err := range outcomes {
		switch n := came[name]; {
		case n != 0 && n != size:
			p.Errorf("%d messages are in an atomic batch, and %d of them are stored; its outcome was %v", size, n, err)
		case n != 0 && fairlead.CodeOf(err) != 0 && fairlead.CodeOf(err) != fairlead.UnknownOutcome:
			p.Errorf("an atomic batch is stored although its outcome was %v", err)
		}
	}
}

// countLeft counts the messages that are left, by the beginning of their bodies.
// It waits longer for the rest of a batch.
func (p *pipe) countLeft(came map[string]int, size int) {
	for {
		wait := 400 * time.Millisecond
		for name, n := range came {
			if name != "last" && n%size != 0 {
				wait = p.Patience()
			}
		}
		ctx, cancel := context.WithTimeout(p.Context(), wait)
		ds, err := p.sub.ReceiveMany(ctx, 50)
		cancel()
		if err != nil {
			return
		}
		p.sub.ackAll(ds...)
		for _, d := range ds {
			came[string(d.Body[:min(len(d.Body), len("batch00-"))])]++
		}
	}
}

func manageTopics(t *suite.T) {
	base := t.Name()
	for _, name := range []string{base + ".b", base + "-other"} {
		_, err := t.Topic(name).Publish(t.Context(), pubsub.Message{})
		t.Must(err)
	}
	t.Subscribe(base+".a", pubsub.Group("g"))
	t.Subscribe(base+".c", pubsub.Group("g"))
	listed := func(prefix string, want ...string) {
		names, err := pubsub.Topics(t.Context(), t.Provider(), prefix)
		t.Must(err)
		if !slices.Equal(names, want) {
			t.Errorf("topics with the prefix %q: %q, want %q", prefix, names, want)
		}
	}
	listed(base+".", base+".a", base+".b", base+".c")
	listed(base+".b", base+".b")
	listed(base + ".none")
	t.Must(pubsub.DeleteTopic(t.Context(), t.Provider(), base+".b"))
	listed(base, base+"-other", base+".a", base+".c")
}
