package failover

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

// publications are the published messages, and the outcome of each.
type publications struct {
	mu           sync.Mutex
	outcomes     map[string]fairlead.Code // by body; 0: acknowledged
	acknowledged int
	failed       int
	unknown      int
}

func newPublications() *publications { return &publications{outcomes: map[string]fairlead.Code{}} }

func (p *publications) acked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acknowledged
}

func (p *publications) record(body string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := fairlead.CodeOf(err)
	switch p.outcomes[body] = code; code {
	case 0:
		p.acknowledged++
	case fairlead.UnknownOutcome:
		p.unknown++
	default:
		p.failed++
	}
}

func (r *run) publish(ctx context.Context, publisher int) {
	topic := r.topics[publisher%len(r.topics)]
	r.repeat(ctx, r.published, func(ctx context.Context, n int) error {
		body := fmt.Sprintf("%02d-%d", publisher, n)
		_, err := topic.Publish(ctx, pubsub.Message{Body: []byte(body)})
		r.publications.record(body, err)
		return err
	})
}

// verify receives until every acknowledged message has come.
func (p *publications) verify(ctx context.Context, t testing.TB, sub *pubsub.Subscription) {
	t.Helper()
	missing := map[string]bool{}
	for body, code := range p.outcomes {
		if code == 0 {
			missing[body] = true
		}
	}
	for len(missing) > 0 {
		ds, err := sub.ReceiveMany(ctx, 256)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d acknowledged messages are lost: %v", len(missing), p.acknowledged, err)
		}
		if err != nil {
			time.Sleep(pauseAfter)
			continue
		}
		var group sync.WaitGroup
		for _, d := range ds {
			delete(missing, string(d.Body))
			if code, ok := p.outcomes[string(d.Body)]; !ok || code != 0 && code != fairlead.UnknownOutcome {
				t.Errorf("%q was delivered although its publication failed with %q", d.Body, code)
			}
			group.Go(func() { _ = d.Ack(ctx) }) // if it fails, the message comes again
		}
		group.Wait()
	}
}
