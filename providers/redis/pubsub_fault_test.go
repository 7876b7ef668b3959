package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

// maxOverrun is how long a call may continue after its context has ended. It
// leaves room for a busy machine.
const maxOverrun = time.Second

func TestPubsubOfAServerThatHangs(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic, idle, busy := tt.topic(), tt.subscribe(group), tt.subscribe(everything)
	tt.sendBodies(topic, "a")
	held := tt.receive(idle, 1)[0]
	tt.wantNoDelivery(idle)
	if err := server.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(context.Context) error{
		"Send":        func(ctx context.Context) error { return topic.Send(ctx, []driver.Message{{}})[0].Err },
		"Settle":      func(ctx context.Context) error { return settle(ctx, idle, driver.Ack, 0, held)[0] },
		"Receive":     func(ctx context.Context) error { _, err := idle.Receive(ctx, 1); return err },
		"broadcast":   func(ctx context.Context) error { _, err := busy.Receive(ctx, 1); return err },
		"Topics":      func(ctx context.Context) error { _, err := tt.p.Topics(ctx, ""); return err },
		"DeleteGroup": func(ctx context.Context) error { return tt.p.DeleteGroup(ctx, "x", "y") },
	}
	writes := map[string]bool{"Send": true, "Settle": true, "DeleteGroup": true}
	for name, call := range calls {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		err := call(ctx)
		if took := time.Since(began); took > maxOverrun {
			t.Errorf("%s continued for %v", name, took)
		}
		// A write is canceled if it still waited for a connection.
		if !errors.Is(err, fairlead.Canceled) && !(writes[name] && errors.Is(err, fairlead.UnknownOutcome)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ends := make(chan error)
	go func() {
		_, err := idle.Receive(t.Context(), 1)
		ends <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := idle.Close(ctx); err == nil {
		t.Error("Close succeeded although the server could not answer")
	}
	check.Code(t, <-ends, fairlead.Closed)
	if took := time.Since(began); took > maxOverrun {
		t.Errorf("Close continued for %v", took)
	}
	if err := server.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The server leases a message for a Receive that was abandoned. The next Receive
// returns it, although the lease is long.
func TestAbandonedGroupReceiveLosesNothing(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	s := tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a", "b")
	tt.ack(s, tt.receiveBodies(s, "a")...) // there is a connection, and the server knows the script
	if err := server.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.Receive(ctx, 1)
	check.Code(t, err, fairlead.DeadlineExceeded)
	if err := server.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := tt.receiveBodies(s, "b")[0]; d.Attempt != 1 {
		t.Fatalf("attempt %d, want 1", d.Attempt)
	}
}

func TestTrimKeepsWhatIsPending(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server, "retention", "1ms")
	topic := tt.topic()
	other := driver.SubscriptionConfig{Group: "other"}
	a, b := tt.subscribe(group), tt.subscribe(other)
	bodies := numbered("m%d", 200)
	tt.sendBodies(topic, bodies...)
	gotA, gotB := tt.receiveBodies(a, bodies...), tt.receiveBodies(b, bodies...)
	tt.ack(a, gotA...)
	tt.ack(b, gotB[:50]...)
	tt.ack(b, gotB[51:]...)
	awaitLength(t, tt, server, topic, 150)
	tt.settle(b, driver.Nack, 0, gotB[50])
	tt.ack(b, tt.receiveBodies(b, "m50")...)
	// Neither group has read what awaitLength sent.
	tt.receiveBodies(a, "tick")
	start := driver.SubscriptionConfig{Start: driver.StartPosition, Position: gotA[0].Position}
	_, err := tt.trySubscribe(start)
	check.Code(t, err, fairlead.Compacted)
	start.Position = gotA[49].Position // trimmed, but no message after it was
	tt.receiveBodies(tt.subscribe(start), "m50")
}

// TestTrimKeepsWhatAnyGroupNeeds makes each of three groups the one that is behind,
// whatever the order in which the server lists them.
func TestTrimKeepsWhatAnyGroupNeeds(t *testing.T) {
	server := testbed.Redis(t)
	names := []string{"a", "m", "z"}
	for _, behind := range names {
		tt := topicTest{t, openPubsub(t, server.URL(), "retention", "1ms"), "orders"}
		subs := map[string]driver.Subscription{}
		for _, name := range names {
			subs[name] = tt.subscribe(driver.SubscriptionConfig{Group: name})
		}
		topic := tt.topic()
		bodies := numbered("m%d", 150)
		tt.sendBodies(topic, bodies...)
		for _, name := range names {
			got := tt.receiveBodies(subs[name], bodies...)
			if name == behind {
				got = got[:40]
			}
			tt.ack(subs[name], got...)
		}
		awaitLength(t, tt, server, topic, 110)
		if err := tt.p.DeleteTopic(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitLength publishes until trimming has left n messages, without the messages
// that it has published itself.
func awaitLength(t *testing.T, tt topicTest, server *testbed.RedisServer, topic driver.Topic, n int64) {
	t.Helper()
	c := testbed.RedisClient(t, server)
	deadline := time.Now().Add(patience)
	for own := int64(1); ; own++ {
		tt.sendBodies(topic, "tick")
		length, err := c.XLen(t.Context(), ordersStream).Result()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case length == n+own:
			return
		case length < n+own, time.Now().After(deadline):
			t.Fatalf("%d messages are kept, want %d", length-own, n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestTrimOvertakesABroadcast(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server, "retention", "200ms")
	topic, s := tt.topic(), tt.subscribe(everything)
	tt.sendBodies(topic, "a", "b")
	tt.receiveBodies(s, "a")
	c := testbed.RedisClient(t, server)
	deadline := time.Now().Add(patience)
	for sent := int64(2); c.XLen(t.Context(), ordersStream).Val() == sent; sent++ {
		if time.Now().After(deadline) {
			t.Fatal("nothing is trimmed")
		}
		tt.sendBodies(topic, "tick")
		time.Sleep(20 * time.Millisecond)
	}
	tt.wantGap(s)
	tt.sendBodies(topic, "tick")
	tt.receiveBodies(s, "tick")
}

// publishUntilStopped publishes bodies "0", "1"… until stop is closed, even while
// the server is down. It returns the bodies that were acknowledged.
func publishUntilStopped(ctx context.Context, topic driver.Topic, stop <-chan struct{}) (acknowledged []string, err error) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return acknowledged, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
		}
		body := strconv.Itoa(n)
		switch r := topic.Send(ctx, []driver.Message{{Key: strconv.Itoa(n % 7), Body: []byte(body)}})[0]; {
		case r.Err == nil:
			acknowledged = append(acknowledged, body)
		case !errors.Is(r.Err, fairlead.Unavailable) && !errors.Is(r.Err, fairlead.UnknownOutcome):
			return nil, r.Err
		}
	}
}

// collector receives and acknowledges messages, and records their bodies.
type collector struct {
	mu    sync.Mutex
	seen  map[string]bool
	order map[string]int // the last body by key
	bad   error
}

func (c *collector) run(ctx context.Context, s driver.Subscription) {
	for ctx.Err() == nil {
		got, err := s.Receive(ctx, 16)
		if err != nil {
			c.note(err)
			continue
		}
		for _, d := range got {
			c.add(d)
		}
		_ = settle(ctx, s, driver.Ack, 0, got...) // otherwise it is delivered again
	}
}

func (c *collector) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !errors.Is(err, fairlead.Unavailable) && !errors.Is(err, fairlead.Canceled) {
		c.bad = errors.Join(c.bad, err)
	}
}

func (c *collector) add(d driver.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _ := strconv.Atoi(string(d.Body))
	if last, ok := c.order[d.Key]; ok && n < last {
		c.bad = errors.Join(c.bad, fmt.Errorf("key %s: %d was delivered after %d", d.Key, n, last))
	}
	c.order[d.Key] = n
	c.seen[string(d.Body)] = true
}

func (c *collector) missing(want []string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(want), func(b string) bool { return c.seen[b] }))
}

// await polls until nothing is missing.
func (c *collector) await(t *testing.T, want []string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for c.missing(want) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d acknowledged messages were not delivered; %v", c.missing(want), len(want), c.bad)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if c.bad != nil {
		t.Fatal(c.bad)
	}
}

// underLoad publishes and receives with several consumers while disturb runs. It
// fails the test if an acknowledged message is lost, or is delivered before an
// earlier one of its key.
func underLoad(t *testing.T, tt topicTest, disturb func()) {
	t.Helper()
	lease := driver.SubscriptionConfig{Group: "billing", AckDeadline: 2 * time.Second}
	c := &collector{seen: map[string]bool{}, order: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	topic, stop := tt.topic(), make(chan struct{})
	var consumers sync.WaitGroup
	for range 3 {
		s := tt.subscribe(lease)
		consumers.Go(func() { c.run(ctx, s) })
	}
	var acknowledged []string
	var err error
	var publisher sync.WaitGroup
	publisher.Go(func() { acknowledged, err = publishUntilStopped(ctx, topic, stop) })
	disturb()
	close(stop)
	publisher.Wait()
	if err != nil {
		t.Fatal(err)
	}
	c.await(t, acknowledged)
	cancel()
	consumers.Wait()
	t.Logf("%d messages", len(acknowledged))
}

func TestPubsubSurvivesKills(t *testing.T) {
	server := testbed.Redis(t)
	underLoad(t, newTopicTest(t, server), func() {
		for range 3 {
			time.Sleep(300 * time.Millisecond) // of load
			if err := errors.Join(server.Kill(t.Context()), server.Start(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestPubsubSurvivesCutConnections(t *testing.T) {
	server := testbed.Redis(t)
	proxy := testbed.Proxy(t, server.Addr())
	tt := topicTest{t, openPubsub(t, "redis://"+proxy.Addr()), "orders"}
	underLoad(t, tt, func() {
		for range 20 {
			time.Sleep(20 * time.Millisecond) // of load
			proxy.Cut()
		}
	})
}

func TestSendWithALostReplyIsUnknown(t *testing.T) {
	for name, msgs := range map[string][]driver.Message{
		"one": {{Body: []byte("swallow")}}, "several": {{Body: []byte("swallow")}, {Body: []byte("b")}},
		"with id": {{ID: "one", Body: []byte("swallow")}},
	} {
		t.Run(name, func(t *testing.T) { sendWithLostReply(t, msgs) })
	}
}

func sendWithLostReply(t *testing.T, msgs []driver.Message) {
	server := testbed.Redis(t)
	proxy := testbed.Proxy(t, server.Addr())
	tt := topicTest{t, openPubsub(t, "redis://"+proxy.Addr()), "orders"}
	topic, s := tt.topic(), tt.subscribe(group)
	tt.send(topic, driver.Message{ID: "first", Body: []byte("a")}) // the server then knows the script
	tt.ack(s, tt.receiveBodies(s, "a")...)
	proxy.SwallowReply([]byte("swallow"))
	for _, r := range topic.Send(t.Context(), msgs) {
		check.Code(t, r.Err, fairlead.UnknownOutcome)
	}
	if msgs[0].ID != "" {
		if again := tt.send(topic, msgs...)[0]; !again.Duplicate {
			t.Fatal("the second Send of the same ID is not a duplicate")
		}
	}
	for _, m := range msgs {
		tt.ack(s, tt.receiveBodies(s, string(m.Body))...)
	}
	tt.wantNoDelivery(s)
}
