package memory

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openURL(t testing.TB, url string) *provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.Background()) })
	return p.(*provider)
}

func openStore(t testing.TB, p *provider) *store {
	t.Helper()
	s, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*store)
}

func put(t testing.TB, s *store, key string) kvdriver.Revision {
	t.Helper()
	r := s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: key}})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Revision
}

func TestURLs(t *testing.T) {
	for _, bad := range []string{
		"mem://user@x", "mem://x:1", "mem://x/path", "mem://?history=0", "mem://?history=-1", "mem://?history=1000000001",
		"mem://?history=9223372036854775807", "mem://?history=9223372036854775808", "mem://?dedupe-window=0s", "mem://?dedupe-window=-1s",
	} {
		if _, err := fairlead.Open(t.Context(), bad); !errors.Is(err, fairlead.Invalid) {
			t.Errorf("Open(%q): %v, want Invalid", bad, err)
		}
	}
	for _, good := range []string{"mem://?history=1&dedupe-window=1ms", "mem://?history=1000000000"} {
		s := openStore(t, openURL(t, good))
		for range 5 {
			put(t, s, "k")
		}
	}
	a, b, private := openURL(t, "mem://shared"), openURL(t, "mem://shared"), openURL(t, "mem://")
	put(t, openStore(t, a), "k")
	get := []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "k"}}
	if r := openStore(t, b).Do(t.Context(), get); r[0].Err != nil {
		t.Errorf("Get through another Open of the name: %v", r[0].Err)
	}
	if r := openStore(t, private).Do(t.Context(), get); !errors.Is(r[0].Err, fairlead.NotFound) {
		t.Errorf("Get from a private backend: %v, want NotFound", r[0].Err)
	}
	a.Close(t.Context())
	b.Close(t.Context())
	if r := openStore(t, openURL(t, "mem://shared")).Do(t.Context(), get); !errors.Is(r[0].Err, fairlead.NotFound) {
		t.Errorf("Get after the last Close of the name: %v, want NotFound", r[0].Err)
	}
}

func TestWatchBeforeHistoryIsCompacted(t *testing.T) {
	s := openStore(t, openURL(t, "mem://?history=10"))
	first := put(t, s, "k0")
	slow, err := s.Watch(t.Context(), kvdriver.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var last kvdriver.Revision
	for i := range 30 {
		last = put(t, s, fmt.Sprint("k", i))
	}
	if _, err := s.Watch(t.Context(), kvdriver.WatchRequest{After: first}); !errors.Is(err, fairlead.Compacted) {
		t.Errorf("Watch from before the history: %v", err)
	}
	for range 2 {
		if _, err := slow.Next(t.Context()); !errors.Is(err, fairlead.Compacted) {
			t.Errorf("Next of a slow reader: %v", err)
		}
	}
	if _, err := s.Watch(t.Context(), kvdriver.WatchRequest{After: last}); err != nil {
		t.Errorf("Watch from the last revision: %v", err)
	}
}

func TestOldSnapshotIsCompacted(t *testing.T) {
	s := openStore(t, openURL(t, "mem://"))
	put(t, s, "a")
	put(t, s, "b")
	first, err := s.List(t.Context(), kvdriver.ListRequest{Limit: 1})
	if err != nil || first.Token == "" {
		t.Fatal(first, err)
	}
	for range keptSnapshots {
		if _, err := s.List(t.Context(), kvdriver.ListRequest{Limit: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.List(t.Context(), kvdriver.ListRequest{Token: first.Token, Limit: 1}); !errors.Is(err, fairlead.Compacted) {
		t.Errorf("List with the token of a dropped snapshot: %v, want Compacted", err)
	}
}

// TestExpiryNeedsNoCall shows that a key expires without another call: a watcher
// that waits gets the event at the exact millisecond.
func TestExpiryNeedsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openURL(t, "mem://")
		defer p.Close(context.Background())
		s := openStore(t, p)
		w, err := s.Watch(t.Context(), kvdriver.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", TTL: 1500 * time.Millisecond}})
		for _, want := range []kvdriver.EventKind{kvdriver.PutEvent, kvdriver.ExpireEvent} {
			events, err := w.Next(t.Context())
			if err != nil || len(events) != 1 || events[0].Kind != want {
				t.Fatalf("events %v, %v; want one of kind %v", events, err, want)
			}
		}
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("expired after %v", took)
		}
	})
}

func openGroup(t testing.TB, p *provider, c driver.SubscriptionConfig) *subscription {
	t.Helper()
	c.Topic = "t"
	if c.AckDeadline == 0 {
		c.AckDeadline = time.Minute
	}
	s, err := p.OpenSubscription(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*subscription)
}

func publish(t testing.TB, p *provider, msgs ...driver.Message) []driver.SendResult {
	t.Helper()
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	return topic.Send(t.Context(), msgs)
}

// TestTrimKeepsNeededMessages publishes many more messages than the history
// holds.
func TestTrimKeepsNeededMessages(t *testing.T) {
	p := openURL(t, "mem://?history=10")
	s := openGroup(t, p, driver.SubscriptionConfig{Group: "g", Start: driver.StartNew})
	for i := range 100 {
		publish(t, p, driver.Message{Body: []byte{byte(i)}})
	}
	for i := 0; i < 100; {
		ds, err := s.Receive(t.Context(), 30)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if d.Body[0] != byte(i) {
				t.Fatalf("message %d, want %d", d.Body[0], i)
			}
			i++
			if err := s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0]; err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 200 {
		publish(t, p, driver.Message{})
		ds, err := s.Receive(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Settle(t.Context(), []driver.Settlement{{Token: ds[0].Token, Kind: driver.Ack}})
	}
	if n := len(s.group.topic.log.messages); n > 200 {
		t.Errorf("%d messages are kept, though all are acknowledged and the history is 10", n)
	}
}

func TestPositionBeforeHistoryIsCompacted(t *testing.T) {
	p := openURL(t, "mem://?history=10")
	first := publish(t, p, driver.Message{})[0].Position
	for range 100 {
		publish(t, p, driver.Message{})
	}
	_, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{
		Topic: "t", Group: "g", Start: driver.StartPosition, Position: first, AckDeadline: time.Minute,
	})
	if !errors.Is(err, fairlead.Compacted) {
		t.Errorf("a position whose next messages were dropped: %v, want Compacted", err)
	}
}

func TestDeletedGroup(t *testing.T) {
	p := openURL(t, "mem://?history=1")
	s := openGroup(t, p, driver.SubscriptionConfig{Group: "g", Start: driver.StartNew})
	publish(t, p, driver.Message{}, driver.Message{})
	ds, err := s.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.DeleteGroup(t.Context(), "t", "g"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		publish(t, p, driver.Message{})
	}
	if _, err := s.Receive(t.Context(), 1); !errors.Is(err, fairlead.NotFound) {
		t.Errorf("Receive of a deleted group: %v", err)
	}
	if err := s.Settle(t.Context(), []driver.Settlement{{Token: ds[0].Token, Kind: driver.Ack}})[0]; !errors.Is(err, fairlead.Conflict) {
		t.Errorf("Ack in a deleted group: %v", err)
	}
}

// TestCloseOfProviderWakesReceivers closes the provider while a Receive waits.
func TestCloseOfProviderWakesReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openURL(t, "mem://")
		s := openGroup(t, p, driver.SubscriptionConfig{Group: "g", Start: driver.StartNew})
		done := make(chan error)
		go func() {
			_, err := s.Receive(context.Background(), 1)
			done <- err
		}()
		synctest.Wait()
		p.Close(context.Background())
		if err := <-done; !errors.Is(err, fairlead.Closed) {
			t.Error(err)
		}
	})
}

// BenchmarkPublishReceiveAck passes one message at a time through the driver and
// through a buffered channel, alternately. The ratio says how far the reference
// model is from the limit.
func BenchmarkPublishReceiveAck(b *testing.B) {
	p := openURL(b, "mem://")
	s := openGroup(b, p, driver.SubscriptionConfig{Group: "g", Start: driver.StartNew})
	topic, err := p.OpenTopic(b.Context(), driver.TopicConfig{Name: "t"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, body := b.Context(), make([]byte, 256)
	channel := make(chan []byte, 1)
	var driverTime, channelTime time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		for range 100 {
			topic.Send(ctx, []driver.Message{{Body: body}})
			ds, _ := s.Receive(ctx, 1)
			s.Settle(ctx, []driver.Settlement{{Token: ds[0].Token, Kind: driver.Ack}})
		}
		driverTime += time.Since(began)
		began = time.Now()
		for range 100 {
			channel <- append([]byte(nil), body...)
			<-channel
		}
		channelTime += time.Since(began)
	}
	messages := float64(100 * b.N)
	b.ReportMetric(messages/driverTime.Seconds(), "msgs/s")
	b.ReportMetric(float64(channelTime)/float64(driverTime), "x-channel")
	b.ReportMetric(0, "ns/op")
}
