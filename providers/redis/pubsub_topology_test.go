package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

func TestPubsubOnACluster(t *testing.T) {
	c := testbed.Cluster(t, false)
	tt := topicTest{t, openPubsub(t, "redis://"+strings.Join(c.Addrs(), ",")), ""}
	for i := range 6 { // on several nodes
		tt.name = fmt.Sprint("topic", i)
		a, b := tt.subscribe(group), tt.subscribe(everything)
		tt.send(tt.topic(), messagesOfKey("x", 3)...)
		for _, s := range []driver.Subscription{a, b} {
			tt.settle(s, driver.Nack, 0, tt.receiveBodies(s, "x0")...)
			tt.ack(s, tt.receiveBodies(s, "x0")...)
			tt.ack(s, tt.receiveBodies(s, "x1")...)
			tt.close(s)
		}
	}
	names, err := tt.p.Topics(t.Context(), "topic")
	if err != nil || len(names) != 6 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		if err := tt.p.DeleteTopic(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if names, err = tt.p.Topics(t.Context(), ""); err != nil || len(names) != 0 {
		t.Fatalf("%q, %v", names, err)
	}
}

// testFailover fails the test unless a group and a broadcast continue after a
// failover with the messages that the servers have kept.
func testFailover(tt topicTest, failover func() error) {
	topic, a, b := tt.topic(), tt.subscribe(group), tt.subscribe(everything)
	tt.sendBodies(topic, "before")
	tt.ack(a, tt.receiveBodies(a, "before")...)
	tt.ack(b, tt.receiveBodies(b, "before")...)
	if err := failover(); err != nil {
		tt.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for _, msgs := range [][]driver.Message{{{}, {}}, {{ID: "after", Body: []byte("after")}}} {
		for topic.Send(tt.Context(), msgs)[0].Err != nil {
			if time.Now().After(deadline) {
				tt.Fatal("Send still fails after the failover")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for _, s := range []driver.Subscription{a, b} {
		for {
			got, err := s.Receive(tt.Context(), 1)
			if err == nil && string(got[0].Body) == "after" {
				break
			}
			// What the new primary did not have may be delivered again, or be lost.
			if err != nil && !errors.Is(err, fairlead.Unavailable) && !errors.Is(err, fairlead.Compacted) {
				tt.Fatal(err)
			}
			if time.Now().After(deadline) {
				tt.Fatalf("Receive still fails after the failover: %v", err)
			}
		}
	}
}

func TestPubsubAfterASentinelFailover(t *testing.T) {
	g := testbed.Sentinel(t)
	tt := topicTest{t, openPubsub(t, "redis://"+strings.Join(g.Addrs(), ","), "master-name", testbed.SentinelMasterName), "orders"}
	testFailover(tt, func() error {
		_, _, err := g.Failover(t.Context())
		return err
	})
}

func TestPubsubAfterAClusterFailover(t *testing.T) {
	c := testbed.Cluster(t, true)
	tt := topicTest{t, openPubsub(t, "redis://"+strings.Join(c.Addrs(), ",")), "orders"}
	testFailover(tt, func() error {
		_, _, err := c.Failover(t.Context(), ordersStream)
		return err
	})
}

// Messages of one ordering key are delivered in order while several consumers
// acknowledge, give back, let leases end, and close.
func TestGroupLanesUnderStress(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	const keys, each = 5, 40
	topic := tt.topic()
	for i := range each {
		for k := range keys {
			tt.send(topic, driver.Message{Key: fmt.Sprint(k), Body: fmt.Append(nil, i)})
		}
	}
	l := &laneCheck{next: map[string]int{}}
	var consumers sync.WaitGroup
	for n := range 4 {
		consumers.Go(func() {
			for rng := rand.New(rand.NewPCG(1, uint64(n))); l.open(keys * each); {
				l.consume(tt, rng)
			}
		})
	}
	consumers.Wait()
	if l.bad != nil {
		t.Fatal(l.bad)
	}
}

type laneCheck struct {
	mu    sync.Mutex
	next  map[string]int // by key
	acked int
	bad   error
}

func (l *laneCheck) open(total int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked < total && l.bad == nil
}

// consume opens a subscription, receives a few times and closes it.
func (l *laneCheck) consume(tt topicTest, rng *rand.Rand) {
	const lease = 200 * time.Millisecond
	s, err := tt.trySubscribe(driver.SubscriptionConfig{Group: "billing", AckDeadline: lease})
	if err != nil {
		l.fail(err)
		return
	}
	defer func() {
		if err := s.Close(tt.Context()); err != nil {
			l.fail(err)
		}
	}()
	for range 5 {
		ctx, cancel := context.WithTimeout(tt.Context(), 300*time.Millisecond)
		got, err := s.Receive(ctx, 3)
		cancel()
		if err != nil && !errors.Is(err, fairlead.DeadlineExceeded) {
			l.fail(err)
			return
		}
		for _, d := range got {
			l.handle(tt, s, d, rng.IntN(4))
		}
	}
}

func (l *laneCheck) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad = errors.Join(l.bad, err)
}

// handle acknowledges in half of the cases. Otherwise it gives back, or does nothing.
func (l *laneCheck) handle(tt topicTest, s driver.Subscription, d driver.Delivery, chance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, want := string(d.Body), fmt.Sprint(l.next[d.Key]); got != want {
		if err := settle(tt.Context(), s, driver.Ack, 0, d)[0]; !errors.Is(err, fairlead.Conflict) { // otherwise its lease has ended
			l.bad = errors.Join(l.bad, fmt.Errorf("key %s: got %s, want %s; settling it: %w", d.Key, got, want, err))
		}
		return
	}
	switch chance {
	case 0: // its lease ends, or the consumer closes
	case 1:
		_ = settle(tt.Context(), s, driver.Nack, 0, d)
	default:
		if settle(tt.Context(), s, driver.Ack, 0, d)[0] == nil {
			l.next[d.Key]++
			l.acked++
		}
	}
}

func TestPubsubLeavesNothingBehind(t *testing.T) {
	server := testbed.Redis(t)
	before := goleak.IgnoreCurrent()
	p, err := fairlead.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	tt := topicTest{t, p.(driver.Provider), "orders"}
	a, b := tt.subscribe(group), tt.subscribe(everything)
	tt.sendBodies(tt.topic(), "a", "b")
	tt.receive(a, 1)
	tt.receive(b, 2)
	tt.wantNoDelivery(b)
	tt.receive(a, 1)
	tt.wantNoDelivery(a)
	ended := make(chan error)
	go func() {
		_, err := b.Receive(t.Context(), 1)
		ended <- err
	}()
	tt.close(a)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	check.Code(t, <-ended, fairlead.Closed)
	goleak.VerifyNone(t, before)
}

func TestProviderCloseGivesBack(t *testing.T) {
	server := testbed.Redis(t)
	p, err := fairlead.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	tt := topicTest{t, p.(driver.Provider), "orders"}
	held := tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a", "b")
	tt.receiveBodies(held, "a", "b")
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	tt.close(held)
	other := newTopicTest(t, server)
	other.receiveBodies(other.subscribe(group), "a", "b")
}
