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

// letters are what was published, and how that ended.
type letters struct {
	mu      sync.Mutex
	sent    map[string]fairlead.Code // 0: acknowledged
	count   int                      // of those
	failed  int
	unknown int
}

func newLetters() *letters { return &letters{sent: map[string]fairlead.Code{}} }

func (l *letters) acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func (l *letters) note(body string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	code := fairlead.CodeOf(err)
	switch l.sent[body] = code; code {
	case 0:
		l.count++
	case fairlead.UnknownOutcome:
		l.unknown++
	default:
		l.failed++
	}
}

func (r *run) publish(ctx context.Context, publisher int) {
	topic := r.topics[publisher%len(r.topics)]
	r.each(ctx, r.published, func(ctx context.Context, n int) error {
		body := fmt.Sprintf("%02d-%d", publisher, n)
		_, err := topic.Publish(ctx, pubsub.Message{Body: []byte(body)})
		r.letters.note(body, err)
		return err
	})
}

// verify receives until every acknowledged message has come.
func (l *letters) verify(ctx context.Context, t testing.TB, sub *pubsub.Subscription) {
	t.Helper()
	missing := map[string]bool{}
	for body, code := range l.sent {
		if code == 0 {
			missing[body] = true
		}
	}
	for len(missing) > 0 {
		ds, err := sub.ReceiveMany(ctx, 256)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d acknowledged messages are lost: %v", len(missing), l.count, err)
		}
		if err != nil {
			time.Sleep(pauseAfter)
			continue
		}
		var group sync.WaitGroup
		for _, d := range ds {
			delete(missing, string(d.Body))
			if code, ok := l.sent[string(d.Body)]; !ok || code != 0 && code != fairlead.UnknownOutcome {
				t.Errorf("%q was delivered, and its publication ended with %q", d.Body, code)
			}
			group.Go(func() { _ = d.Ack(ctx) }) // or it comes again
		}
		group.Wait()
	}
}
