package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// The load of TestKilledServerLosesNothingAcknowledged.
const (
	writers      = 16
	opsPerWriter = 1250 // half of them puts, half publications: 20,000 in all
	kills        = 5
)

// outcome is the result that a writer got for one write.
type outcome struct {
	name string
	err  error
}

// TestKilledServerLosesNothingAcknowledged kills the server with SIGKILL five
// times during 20,000 puts and publications. Afterwards every acknowledged write
// is stored, and every other stored write had the result UnknownOutcome.
func TestKilledServerLosesNothingAcknowledged(t *testing.T) {
	server := testbed.Redis(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	p, err := fairlead.Open(ctx, server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	store, err := kv.Open(ctx, p, "s", kv.Require(fairlead.DurableFsync))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(context.Background())
	topic, err := pubsub.Open(ctx, p, "t")
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close(context.Background())
	group, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"))
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close(context.Background())

	puts, sends := load(ctx, t, server, store, topic)
	stored := map[string]bool{}
	for e, err := range store.List(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		stored[e.Key] = true
	}
	verify(t, "put", puts, stored)
	verify(t, "publication", sends, receiveAll(ctx, t, group, sends))
}

// load runs the writers while the server is killed, and returns their results.
func load(ctx context.Context, t *testing.T, server *testbed.RedisServer, store *kv.Store, topic *pubsub.Topic) (puts, sends []outcome) {
	var mu sync.Mutex
	var done atomic.Int64
	var wg sync.WaitGroup
	note := func(list *[]outcome, name string, err error) {
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, outcome{name, err})
		done.Add(1)
	}
	for w := range writers {
		wg.Go(func() {
			for i := range opsPerWriter / 2 {
				name := fmt.Sprintf("%d-%d", w, i)
				_, err := store.Put(ctx, name, []byte(name))
				note(&puts, name, err)
				_, err = topic.Publish(ctx, pubsub.Message{ID: name, Body: []byte(name)})
				note(&sends, name, err)
				if err != nil {
					time.Sleep(time.Millisecond) // so that refused connections do not use up the load
				}
			}
		})
	}
	for k := range int64(kills) {
		waitFor(ctx, t, func() bool { return done.Load() > (k+1)*writers*opsPerWriter/(kills+1) })
		if err := errors.Join(server.Kill(ctx), server.Start(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	return puts, sends
}

func waitFor(ctx context.Context, t *testing.T, ok func() bool) {
	for !ok() {
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
		time.Sleep(time.Millisecond)
	}
}

// receiveAll receives and acknowledges messages until every acknowledged
// publication was delivered, and then the remaining messages.
func receiveAll(ctx context.Context, t *testing.T, s *pubsub.Subscription, sends []outcome) map[string]bool {
	missing := 0
	for _, o := range sends {
		if o.err == nil {
			missing++
		}
	}
	acknowledged := map[string]bool{}
	for _, o := range sends {
		acknowledged[o.name] = o.err == nil
	}
	got := map[string]bool{}
	for {
		limit := 30 * time.Second
		if missing == 0 {
			limit = 300 * time.Millisecond // for publications that were not acknowledged
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		ds, err := s.ReceiveMany(ctx, 200)
		cancel()
		switch {
		case errors.Is(err, fairlead.DeadlineExceeded):
			return got
		case err != nil:
			t.Fatal(err)
		}
		for _, d := range ds {
			if !got[d.ID] && acknowledged[d.ID] {
				missing--
			}
			got[d.ID] = true
			if err := d.Ack(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// verify compares the results of the writers with what is stored.
func verify(t *testing.T, what string, results []outcome, stored map[string]bool) {
	count := map[string]int{}
	for _, o := range results {
		verdict := fairlead.CodeOf(o.err).String()
		switch code := fairlead.CodeOf(o.err); {
		case o.err == nil && !stored[o.name]:
			t.Errorf("%s %s was acknowledged and is lost", what, o.name)
		case o.err == nil:
			verdict = "acknowledged"
		case code == fairlead.UnknownOutcome && stored[o.name]:
			verdict = "unknown, applied"
		case code == fairlead.UnknownOutcome:
			verdict = "unknown, not applied"
		case stored[o.name]:
			t.Errorf("%s %s is stored, and its writer got %v", what, o.name, o.err)
		case code != fairlead.Unavailable:
			t.Errorf("%s %s: %v; want unavailable or unknown outcome", what, o.name, o.err)
		}
		count[verdict]++
	}
	t.Logf("%ss: %d, of which %v", what, len(results), count)
	if count["acknowledged"] == 0 || count["acknowledged"] == len(results) {
		t.Errorf("%ss: no kill had an effect, or nothing was acknowledged: %v", what, count)
	}
}
