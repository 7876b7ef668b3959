package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub"
)

// received receives and acknowledges messages until all that are wanted have come.
// It returns how often each body came.
func received(ctx context.Context, t *testing.T, s *pubsub.Subscription, wanted func(seen map[string]int) bool) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for !wanted(seen) {
		d, err := s.Receive(ctx)
		if errors.Is(err, fairlead.Unavailable) {
			continue
		}
		check.NoError(t, err)
		seen[string(d.Body)]++
		if err := d.Ack(ctx); err != nil && !errors.Is(err, fairlead.Unavailable) && !errors.Is(err, fairlead.UnknownOutcome) && !errors.Is(err, fairlead.Conflict) {
			t.Fatal(err)
		}
	}
	return seen
}

// TestPublishingWhileLeadersAreKilled: every acknowledged message arrives. Of the
// other messages, only those with an unknown outcome may arrive. Two providers
// publish to one topic.
func TestPublishingWhileLeadersAreKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cluster := testbed.EtcdCluster(t, 3)
	sub, err := pubsub.Subscribe(ctx, open(t, cluster.URL()), "t", pubsub.Group("g"))
	check.NoError(t, err)
	defer sub.Close(context.Background())

	var mu sync.Mutex
	outcomes := map[string]error{}
	var stop atomic.Bool
	var group sync.WaitGroup
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(outcomes) }
	for i := range 2 {
		topic, err := pubsub.Open(ctx, open(t, cluster.URL()), "t", pubsub.Require(fairlead.DurableQuorum))
		check.NoError(t, err)
		defer topic.Close(context.Background())
		for j := range 4 {
			group.Go(func() {
				for n := 0; !stop.Load(); n++ {
					call, cancel := context.WithTimeout(ctx, 3*time.Second)
					body := fmt.Sprintf("%d-%d-%d", i, j, n)
					_, err := topic.Publish(call, pubsub.Message{Body: []byte(body)})
					cancel()
					mu.Lock()
					outcomes[body] = err
					mu.Unlock()
					if err != nil {
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
	}
	var seen map[string]int
	group.Go(func() {
		seen = received(ctx, t, sub, func(seen map[string]int) bool {
			if !stop.Load() {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			for body, err := range outcomes {
				if err == nil && seen[body] == 0 {
					return false
				}
			}
			return true
		})
	})
	for range 3 {
		before := count()
		check.Eventually(t, "more publications", func() bool { return count() > before+500 })
		old, _, err := cluster.KillLeader(ctx)
		check.NoError(t, err)
		check.NoError(t, old.Start(ctx))
		check.NoError(t, cluster.WaitOK(ctx))
	}
	before := count()
	check.Eventually(t, "more publications", func() bool { return count() > before+500 })
	stop.Store(true)
	group.Wait()
	failed := 0
	for body, err := range outcomes {
		if err != nil {
			failed++
		}
		if code := fairlead.CodeOf(err); code != 0 && code != fairlead.UnknownOutcome && seen[body] > 0 {
			t.Errorf("%s arrived, and its publication failed: %v", body, err)
		}
	}
	t.Logf("%d publications, %d of them failed or unknown", len(outcomes), failed)
	if failed == 0 {
		t.Error("no publication failed: the kills did nothing")
	}
}

// TestTrim: acknowledged messages are deleted, except the newest ones. A message
// that a group still needs is not deleted.
func TestTrim(t *testing.T) {
	ctx := t.Context()
	server := testbed.Etcd(t)
	p := open(t, server.URL())
	topic, err := pubsub.Open(ctx, p, "t")
	check.NoError(t, err)
	defer topic.Close(context.Background())
	slow, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("slow"))
	check.NoError(t, err)
	defer slow.Close(context.Background())
	publish := func(n int) {
		msgs := make([]pubsub.Message, n)
		for i := range msgs {
			msgs[i].Body = []byte("m")
		}
		_, err := topic.PublishMany(ctx, msgs...)
		check.NoError(t, err)
	}
	kept := func() int64 {
		c, err := server.Client()
		check.NoError(t, err)
		defer c.Close()
		r, err := c.Get(ctx, "fairlead/ps/t/message/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		check.NoError(t, err)
		return r.Count
	}
	publish(3000)
	if n := kept(); n != 3000 {
		t.Errorf("%d of 3000 messages are kept for a group that has received none", n)
	}
	n := 0
	received(ctx, t, slow, func(seen map[string]int) bool { n = seen["m"]; return n >= 3000 })
	publish(1000)
	if n := kept(); n > 2000 || n < 1000 {
		t.Errorf("%d messages are kept, after 3000 were acknowledged, and 1000 published", n)
	}
	received(ctx, t, slow, func(seen map[string]int) bool { return seen["m"] >= 1000 })
}

// TestProcessesShareAGroup: consumers of several processes that conflict all the
// time get every message once, and every acknowledgement is accepted.
func TestProcessesShareAGroup(t *testing.T) {
	const processes, consumers, messages = 4, 4, 400
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server := testbed.Etcd(t)
	var subs []*pubsub.Subscription
	for range processes {
		p := open(t, server.URL())
		for range consumers {
			sub, err := pubsub.Subscribe(ctx, p, "t", pubsub.Group("g"))
			check.NoError(t, err)
			t.Cleanup(func() { _ = sub.Close(context.Background()) })
			subs = append(subs, sub)
		}
	}
	topic, err := pubsub.Open(ctx, open(t, server.URL()), "t")
	check.NoError(t, err)
	defer topic.Close(context.Background())
	msgs := make([]pubsub.Message, messages)
	for i := range msgs {
		msgs[i].Body = fmt.Append(nil, i)
	}
	_, err = topic.PublishMany(ctx, msgs...)
	check.NoError(t, err)

	var mu sync.Mutex
	seen := map[string]int{}
	all, done := context.WithCancel(ctx)
	defer done()
	var group sync.WaitGroup
	for _, sub := range subs {
		group.Go(func() {
			for {
				d, err := sub.Receive(all)
				if err == nil {
					err = d.Ack(ctx)
				}
				if all.Err() != nil {
					return
				}
				if err != nil {
					t.Error(err)
					done()
					return
				}
				mu.Lock()
				if seen[string(d.Body)]++; len(seen) == messages {
					done()
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for body, n := range seen {
		if n > 1 {
			t.Errorf("message %s came %d times", body, n)
		}
	}
}
