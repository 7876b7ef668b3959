package pubsubcases

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

// keyLog checks how handlers run on messages that have keys.
type keyLog struct {
	t       *suite.T
	mu      sync.Mutex
	running map[string]string   // by key
	begun   map[string][]string // by key
	done    map[string]bool     // by body
	all     tally               // of the messages that were handled
}

// begin records that a handler has a message, and reports whether this is the
// first time.
func (l *keyLog) begin(d *pubsub.Delivery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	body := string(d.Body)
	if other := l.running[d.Key]; other != "" {
		l.t.Errorf("%s and %s, with one key, are handled at once", other, body)
	}
	if l.done[body] {
		l.t.Errorf("%s comes again after it was handled", body)
	}
	l.running[d.Key] = body
	first := !slices.Contains(l.begun[d.Key], body)
	l.begun[d.Key] = append(l.begun[d.Key], body)
	return first
}

func (l *keyLog) end(d *pubsub.Delivery, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, d.Key)
	if ok {
		l.done[string(d.Body)] = true
		l.all.count(d.Body)
	}
}

func keyHandlers(p *pipe) {
	const keys, each = 12, 15
	log := &keyLog{t: p.T, running: map[string]string{}, begun: map[string][]string{}, done: map[string]bool{}}
	var stops []func() error
	for _, sub := range []*consumer{p.sub, p.join(), p.join()} {
		stops = append(stops, sub.handleInBackground(func(_ context.Context, d *pubsub.Delivery) error {
			fail := log.begin(d) && d.Body[len(d.Body)-1] == '7'
			log.end(d, !fail)
			if fail {
				return errPoison
			}
			return nil
		}, pubsub.Concurrency(8), atOnce))
	}
	var msgs []pubsub.Message
	for i := range each {
		for k := range keys {
			msgs = append(msgs, keyedMessages(fmt.Sprintf("k%02d-", k), each)[i])
		}
	}
	p.publish(msgs...)
	log.all.waitUntil(p.T, len(msgs))
	for _, stop := range stops {
		p.Must(stop())
	}
	for k := range keys {
		key := fmt.Sprintf("k%02d-", k)
		var want []string
		for _, body := range numberedTexts(key, each) {
			want = append(want, body)
			if body[len(body)-1] == '7' {
				want = append(want, body)
			}
		}
		wantOrder(p.T, "the messages with the key "+key, log.begun[key], want)
	}
}
