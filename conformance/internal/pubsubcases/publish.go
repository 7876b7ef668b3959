package pubsubcases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

var publishCases = []suite.Case{
	{Name: "pubsub/max-body", Rule: "a message as large as the limit (of 8 MiB if the limit is more) arrives unchanged", Run: withPipe(maxBody)},
	{Name: "pubsub/over-max", Rule: "a message over the limit is TooLarge, the error says both numbers, nothing arrives, and the topic still works", Run: withPipe(overMax)},
	{Name: "pubsub/bulk-1000", Rule: "a thousand messages all arrive, each once", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", 1000)
		p.publishTexts(want...)
		p.sub.wantTexts("a thousand messages", want...)
		p.sub.wantSilence("each message came once")
	})},
	{Name: "pubsub/large-many", Full: true, Rule: "a hundred messages of 64 KiB arrive unchanged", Run: withPipe(func(p *pipe) {
		var msgs []pubsub.Message
		for i := range 100 {
			msgs = append(msgs, pubsub.Message{Body: append([]byte(fmt.Sprintf("%04d", i)), distinctBytes(1<<16)...)})
		}
		p.wantExact(msgs)
	})},
	{Name: "pubsub/batch-tail", Rule: "of more messages than one driver call takes, the last arrive too", Run: withPipe(func(p *pipe) {
		want := numberedTexts("m", min(2*max(p.Facet().Limits.MaxBatch, 1)+1, 2001))
		p.publishTexts(want...)
		p.sub.wantTexts("several batches", want...)
	})},
	{Name: "pubsub/batch-partial", Rule: "each bad message of a batch has its error, and the other messages are stored", Run: withPipe(batchPartial)},
	{Name: "pubsub/batch-receipts", Rule: "receipts have the order of the batch: each has the id under which its message arrives", Run: withPipe(batchReceipts)},
	{Name: "pubsub/batch-empty", Rule: "an empty batch stores nothing, and is no error", Run: withPipe(func(p *pipe) {
		results, err := p.pub.PublishMany(p.Context())
		if len(results) != 0 || err != nil {
			p.Errorf("PublishMany of nothing: %d results, %v", len(results), err)
		}
		p.publishTexts("one")
		p.sub.wantTexts("after an empty batch", "one")
		p.sub.wantSilence("one message was published")
	})},
	{Name: "pubsub/invalid-message", Rule: "an id or metadata that is not UTF-8, and an empty metadata name, are Invalid; nothing arrives", Run: withPipe(invalidMessage)},
	{Name: "pubsub/id-unique", Rule: "messages without an id get different ones, also from concurrent publishers and handles, and arrive under them", Run: withPipe(idUnique)},
	{Name: "pubsub/position", Rule: "where messages have positions, they differ, and the receipt and the deliveries to every group agree on them", Run: withPipe(positions)},
	{Name: "pubsub/time", Rule: "the time of a delivery, if there is one, is the time when it was stored, up to the error of the clocks", Run: withPipe(plausibleTime)},
	{Name: "pubsub/alias-publish", Rule: "a change to body and metadata after Publish does not change the message", Run: withPipe(aliasPublish)},
	{Name: "pubsub/alias-groups", Rule: "a receiver's change to body and metadata changes no other delivery: neither of another group, nor a repeated one", Run: withPipe(aliasGroups)},
	{Name: "pubsub/alias-deliveries", Rule: "the bodies of deliveries received together share no memory, spare capacity included", Run: withPipe(aliasDeliveries)},
	{Name: "pubsub/concurrent-pub", Rule: "the messages of 16 concurrent publishers arrive, each once", Run: withPipe(func(p *pipe) { concurrentPublishers(p, 25) })},
	{Name: "pubsub/concurrent-pub-many", Full: true, Timeout: 3 * time.Minute, Rule: "the messages of 16 concurrent publishers, 500 from each, arrive, each once",
		Run: withPipe(func(p *pipe) { concurrentPublishers(p, 500) })},
	{Name: "pubsub/failures-apart", Rule: "a publication that fails or is given up does not make a concurrent one fail", Run: withPipe(failuresApart)},
	{Name: "pubsub/canceled-publish", Rule: "publishing with a context that has ended fails with its code and stores nothing", Run: withPipe(canceledPublish)},
	{Name: "pubsub/publish-outcomes", Rule: "a publication whose context ends meanwhile reports its outcome truly: nil means stored, any error but UnknownOutcome means not stored", Run: withPipe(publishOutcomes)},
}

// overhead is the size of the metadata that package pubsub adds to a message if
// the program that runs the suite is traced.
func (p *pipe) overhead() int {
	p.publishTexts("probe")
	n := 0
	for name, value := range p.sub.receiveAndAck(1)[0].Metadata {
		n += len(name) + len(value)
	}
	return n
}

func maxBody(p *pipe) {
	limit := p.Facet().Limits.MaxMessageBytes - p.overhead()
	m := pubsub.Message{Body: distinctBytes(min(limit, 8<<20))}
	m.Body[0], m.Body[len(m.Body)-1] = 0xff, 0xfe
	p.publish(m)
	wantMessage(p.T, "the largest message", p.sub.receiveAndAck(1)[0], m)
}

func overMax(p *pipe) {
	limit := p.Facet().Limits.MaxMessageBytes
	big := make([]byte, limit+1)
	_, err := p.pub.Publish(p.Context(), pubsub.Message{Body: big})
	p.WantCode("one byte too many in the body", err, fairlead.TooLarge)
	if err != nil && !strings.Contains(err.Error(), strconv.Itoa(limit)) {
		p.Errorf("the error does not say the limit, %d: %v", limit, err)
	}
	_, err = p.pub.Publish(p.Context(), pubsub.Message{Body: big[:limit-3], Metadata: map[string]string{"ab": "cd"}})
	p.WantCode("one byte too many in the metadata", err, fairlead.TooLarge)
	p.publishTexts("after")
	p.sub.wantTexts("after messages that were too large", "after")
	p.sub.wantSilence("what was too large was not stored")
}

func batchPartial(p *pipe) {
	results, err := p.pub.PublishMany(p.Context(),
		pubsub.Message{Body: []byte("0")},
		pubsub.Message{Body: make([]byte, p.Facet().Limits.MaxMessageBytes+1)},
		pubsub.Message{Body: []byte("2")},
		pubsub.Message{Metadata: map[string]string{"": "no name"}},
		pubsub.Message{Body: []byte("4")})
	p.WantCode("a batch whose first bad message is too large", err, fairlead.TooLarge)
	if len(results) != 5 {
		p.Fatalf("a batch of five messages has %d results: %+v", len(results), results)
	}
	p.WantCode("the message that is too large", results[1].Err, fairlead.TooLarge)
	p.WantCode("the message with a bad name", results[3].Err, fairlead.Invalid)
	p.Must(errors.Join(results[0].Err, results[2].Err, results[4].Err))
	p.sub.wantTexts("the good messages of the batch", "0", "2", "4")
	p.sub.wantSilence("the bad messages were not stored")
}

func batchReceipts(p *pipe) {
	msgs := textMessages(numberedTexts("m", 60)...)
	for i := range msgs {
		if i%3 == 0 {
			msgs[i].ID = fmt.Sprintf("id-%d", i)
		}
	}
	names := map[string]string{}
	for i, r := range p.publish(msgs...) {
		if msgs[i].ID != "" && r.ID != msgs[i].ID {
			p.Errorf("message %d was published as %q, its receipt says %q", i, msgs[i].ID, r.ID)
		}
		names[string(msgs[i].Body)] = r.ID
	}
	for _, d := range p.sub.receiveAndAck(len(msgs)) {
		if names[string(d.Body)] != d.ID {
			p.Errorf("message %s arrives under the id %q, its receipt says %q", d.Body, d.ID, names[string(d.Body)])
		}
	}
}

func invalidMessage(p *pipe) {
	for what, m := range map[string]pubsub.Message{
		"an id that is not UTF-8":             {ID: "\xff"},
		"a metadata name that is not UTF-8":   {Metadata: map[string]string{"a\xff": "v"}},
		"a metadata value that is not UTF-8":  {Metadata: map[string]string{"a": "\xc3\x28"}},
		"an empty metadata name":              {Metadata: map[string]string{"": "v"}},
		"an empty name beside one that is ok": {Metadata: map[string]string{"": "v", "a": "b"}},
	} {
		_, err := p.pub.Publish(p.Context(), m)
		p.WantCode(what, err, fairlead.Invalid)
	}
	p.publishTexts("good")
	p.sub.wantTexts("after invalid messages", "good")
	p.sub.wantSilence("invalid messages were not stored")
}

func idUnique(p *pipe) {
	second := p.T.Topic(p.topic)
	var mu sync.Mutex
	ids := map[string]string{}
	suite.RunConcurrently(8, func(i int) {
		for j, body := range numberedTexts(fmt.Sprintf("p%d-", i), 10) {
			r, err := []*pubsub.Topic{p.pub, second}[j%2].Publish(p.Context(), pubsub.Message{Body: []byte(body)})
			mu.Lock()
			if other, taken := ids[r.ID]; err != nil || r.ID == "" || taken {
				p.Errorf("%s was published as %q, which is empty or also the id of %q: %v", body, r.ID, other, err)
			}
			ids[r.ID] = body
			mu.Unlock()
		}
	})
	for _, d := range p.sub.receiveAndAck(80) {
		if ids[d.ID] != string(d.Body) {
			p.Errorf("%s arrives under the id %q, which %q has too", d.Body, d.ID, ids[d.ID])
		}
	}
}

func positions(p *pipe) {
	other := p.joinGroup(p.T.Name())
	want := map[string]string{}
	for i, r := range append(p.publishTexts(numberedTexts("a", 20)...), p.publishTexts(numberedTexts("b", 20)...)...) {
		if before, taken := want[r.ID]; taken {
			p.Errorf("message %d has the id %q of the one at %q", i, r.ID, before)
		}
		want[r.ID] = r.Position
	}
	for _, sub := range []*consumer{p.sub, other} {
		seen := map[string]bool{}
		for _, d := range sub.receiveAndAck(40) {
			if d.Position != want[d.ID] {
				p.Errorf("a delivery has the position %q, its receipt %q", d.Position, want[d.ID])
			}
			if d.Position != "" && seen[d.Position] {
				p.Errorf("two messages have the position %q", d.Position)
			}
			seen[d.Position] = true
		}
	}
}

func plausibleTime(p *pipe) {
	const clocks = 10 * time.Minute
	before := time.Now()
	p.publishTexts("m")
	after := time.Now()
	d := p.sub.receiveAndAck(1)[0]
	if !d.Time.IsZero() && (d.Time.Before(before.Add(-clocks)) || d.Time.After(after.Add(clocks))) {
		p.Errorf("published between %v and %v, stored at %v", before, after, d.Time)
	}
}

// overwrite overwrites a body, up to its capacity, and metadata.
func overwrite(body []byte, metadata map[string]string) {
	for i := range body[:cap(body)] {
		body[:cap(body)][i] = '!'
	}
	for name := range metadata {
		metadata[name] = "spoilt"
	}
	if metadata != nil {
		metadata["added"] = "spoilt"
	}
}

func sampleMessage(i int) pubsub.Message {
	m := withMetadata("name", fmt.Sprintf("value %d", i), "other", "value")
	m.Body = []byte(fmt.Sprintf("body of message %04d", i))
	return m
}

func copyMessage(m pubsub.Message) pubsub.Message {
	m.Body, m.Metadata = bytes.Clone(m.Body), maps.Clone(m.Metadata)
	return m
}

func aliasPublish(p *pipe) {
	var ids []string
	for i := range 2 {
		m := sampleMessage(i)
		r, err := p.pub.Publish(p.Context(), m)
		p.Must(err)
		ids = append(ids, r.ID)
		overwrite(m.Body, m.Metadata)
	}
	many := []pubsub.Message{sampleMessage(2), sampleMessage(3)}
	for i, r := range p.publish(many...) {
		ids = append(ids, r.ID)
		overwrite(many[i].Body, many[i].Metadata)
	}
	came := map[string]*pubsub.Delivery{}
	for _, d := range p.sub.receiveAndAck(len(ids)) {
		came[d.ID] = d
	}
	for i, id := range ids {
		if came[id] == nil {
			p.Fatalf("message %d did not arrive under its id %q", i, id)
		}
		wantMessage(p.T, fmt.Sprintf("message %d", i), came[id], sampleMessage(i))
	}
}

func aliasGroups(p *pipe) {
	other := p.joinGroup(p.T.Name())
	m := sampleMessage(0)
	p.publish(copyMessage(m))
	first := p.sub.receive(1)[0]
	wantMessage(p.T, "the first delivery", first, m)
	overwrite(first.Body, first.Metadata)
	wantMessage(p.T, "the delivery to another group", other.receiveAndAck(1)[0], m)
	p.sub.giveBack(first, 0)
	wantMessage(p.T, "the repeated delivery", p.sub.receiveAndAck(1)[0], m)
}

func aliasDeliveries(p *pipe) {
	var msgs []pubsub.Message
	for i := range 30 {
		msgs = append(msgs, sampleMessage(i))
	}
	p.publish(msgs...)
	left := map[string]bool{}
	for _, m := range msgs {
		left[string(m.Body)] = true
	}
	for _, d := range p.sub.receive(len(msgs)) {
		if !left[string(d.Body)] || d.Metadata["other"] != "value" {
			p.Fatalf("after the bodies of other deliveries were overwritten, one is %q with %q", d.Body, d.Metadata)
		}
		delete(left, string(d.Body))
		overwrite(d.Body, d.Metadata)
	}
}

func concurrentPublishers(p *pipe, each int) {
	const publishers = 16
	var want []string
	for i := range publishers {
		want = append(want, numberedTexts(fmt.Sprintf("p%02d-", i), each)...)
	}
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		suite.RunConcurrently(publishers, func(i int) {
			for _, body := range want[i*each : (i+1)*each] {
				if _, err := p.pub.Publish(p.Context(), pubsub.Message{Body: []byte(body)}); err != nil {
					p.Errorf("publishing %s: %v", body, err)
					return
				}
			}
		})
	})
	p.sub.wantTexts("what concurrent publishers published", want...)
	p.sub.wantSilence("each message came once")
}

func failuresApart(p *pipe) {
	big := make([]byte, p.Facet().Limits.MaxMessageBytes+1)
	ended, cancel := context.WithCancel(p.Context())
	cancel()
	suite.RunConcurrently(64, func(i int) {
		var err error
		switch {
		case i%16 == 5:
			_, err = p.pub.Publish(p.Context(), pubsub.Message{Body: big})
			p.WantCode("too large", err, fairlead.TooLarge)
		case i%16 == 9:
			_, err = p.pub.Publish(ended, pubsub.Message{Body: []byte("given up")})
			p.WantCode("given up before", err, fairlead.Canceled)
		default:
			if _, err = p.pub.Publish(p.Context(), pubsub.Message{Body: []byte("good")}); err != nil {
				p.Errorf("a good message among bad ones: %v", err)
			}
		}
	})
	p.sub.receiveAndAck(56)
	p.sub.wantSilence("what failed was not stored")
}

func canceledPublish(p *pipe) {
	canceled, cancel := context.WithCancel(p.Context())
	cancel()
	late, stop := context.WithDeadline(p.Context(), time.Now().Add(-time.Second))
	defer stop()
	for code, ctx := range map[fairlead.Code]context.Context{fairlead.Canceled: canceled, fairlead.DeadlineExceeded: late} {
		_, err := p.pub.Publish(ctx, pubsub.Message{Body: []byte("one")})
		p.WantCode("Publish", err, code)
		results, err := p.pub.PublishMany(ctx, textMessages("two", "three")...)
		p.WantCode("PublishMany", err, code)
		for _, r := range results {
			p.WantCode("a message of PublishMany", r.Err, code)
		}
	}
	p.publishTexts("good")
	p.sub.wantTexts("after publications that were given up", "good")
	p.sub.wantSilence("what was given up was not stored")
}

// publishOutcomes gives publications deadlines between zero and some milliseconds.
func publishOutcomes(p *pipe) {
	stored, open := map[string]bool{}, map[string]bool{}
	var mu sync.Mutex
	suite.RunConcurrently(60, func(i int) {
		ctx, cancel := context.WithTimeout(p.Context(), time.Duration(i)*100*time.Microsecond)
		defer cancel()
		body := fmt.Sprintf("m%02d", i)
		_, err := p.pub.Publish(ctx, pubsub.Message{Body: []byte(body)})
		mu.Lock()
		defer mu.Unlock()
		switch fairlead.CodeOf(err) {
		case 0:
			stored[body] = true
		case fairlead.UnknownOutcome:
			open[body] = true
		case fairlead.DeadlineExceeded, fairlead.Canceled, fairlead.Unavailable:
		default:
			p.Errorf("publishing %s under a short deadline: %v", body, err)
		}
	})
	p.publishTexts("last")
	for last := false; len(stored) > 0 || !last; {
		for _, d := range p.sub.receiveAndAck(1) {
			body := string(d.Body)
			last = last || body == "last"
			if body != "last" && !stored[body] && !open[body] {
				p.Errorf("%s arrived (again), though its publication failed with another code than UnknownOutcome", body)
			}
			delete(stored, body)
			delete(open, body)
		}
	}
}
