package memory

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// TestDeletedStore: handles and watchers of a store that was deleted go on with
// the store that a write makes of it. No revision comes twice.
func TestDeletedStore(t *testing.T) {
	p := openURL(t, "mem://")
	s, other := openStore(t, p), openStore(t, p)
	before := put(t, s, "k")
	w, err := s.Watch(t.Context(), kvdriver.WatchRequest{})
	check.NoError(t, err)
	check.NoError(t, p.DeleteStore(t.Context(), "s"))
	if names, err := p.Stores(t.Context(), ""); len(names) > 0 || err != nil {
		t.Errorf("after the deletion there are the stores %q, %v", names, err)
	}
	check.Code(t, other.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "k"}})[0].Err, fairlead.NotFound)
	if names, _ := p.Stores(t.Context(), ""); len(names) > 0 {
		t.Errorf("a read made the stores %q", names)
	}
	after := put(t, s, "l")
	if names, _ := p.Stores(t.Context(), ""); !slices.Equal(names, []string{"s"}) {
		t.Errorf("after a write there are the stores %q", names)
	}
	if after == before {
		t.Errorf("the revision %q came twice", after)
	}
	check.NoError(t, openStore(t, p).Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "l"}})[0].Err)
	events, err := w.Next(t.Context())
	check.NoError(t, err)
	kinds := map[string]kvdriver.EventKind{}
	for _, e := range events {
		kinds[e.Key] = e.Kind
	}
	if len(events) != 2 || kinds["k"] != kvdriver.DeleteEvent || kinds["l"] != kvdriver.PutEvent {
		t.Errorf("the watcher got %+v", events)
	}
}

// TestDeletedIsForgotten: what was deleted costs nothing when its handles are
// closed.
func TestDeletedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openURL(t, "mem://")
		s := openStore(t, p)
		topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
		check.NoError(t, err)
		check.NoError(t, p.DeleteStore(t.Context(), "s"))
		check.NoError(t, p.DeleteTopic(t.Context(), "t"))
		if len(p.backend.tables.byName) != 1 || len(p.backend.topics.byName) != 1 {
			t.Error("what has an open handle was removed")
		}
		check.NoError(t, s.Close(t.Context()))
		check.NoError(t, topic.Close(t.Context()))
		synctest.Wait()
		if len(p.backend.tables.byName) != 0 || len(p.backend.topics.byName) != 0 {
			t.Error("what was deleted and has no handle is still there")
		}
	})
}

// TestDeletedTopic: what is stored after the deletion reaches the subscriptions
// that were open, which report the loss once. A group without a handle is gone.
func TestDeletedTopic(t *testing.T) {
	p := openURL(t, "mem://")
	open := openGroup(t, p, driver.SubscriptionConfig{Group: "g", Start: driver.StartNew})
	check.NoError(t, openGroup(t, p, driver.SubscriptionConfig{Group: "closed", Start: driver.StartNew}).Close(t.Context()))
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	send := func(id string) driver.SendResult {
		t.Helper()
		r := topic.Send(t.Context(), []driver.Message{{ID: id}})[0]
		check.NoError(t, r.Err)
		return r
	}
	old := send("a")
	check.NoError(t, p.DeleteTopic(t.Context(), "t"))
	if names, _ := p.Topics(t.Context(), ""); len(names) > 0 {
		t.Errorf("after the deletion there are the topics %q", names)
	}
	if r := send("a"); r.Duplicate || r.Position == old.Position {
		t.Errorf("the id of a message that is gone: %+v", r)
	}
	_, err = open.Receive(t.Context(), 1)
	check.Code(t, err, fairlead.Compacted)
	closed := openGroup(t, p, driver.SubscriptionConfig{Group: "closed", Start: driver.StartNew})
	send("b")
	for s, want := range map[driver.Subscription]string{open: "ab", closed: "b"} {
		ds, err := s.Receive(t.Context(), 10)
		check.NoError(t, err)
		got := ""
		for _, d := range ds {
			got += d.ID
		}
		if got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

// TestLongestDurations: no duration overflows.
func TestLongestDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openURL(t, "mem://?dedupe-window=2562047h47m16.854775807s")
		s := openStore(t, p)
		check.NoError(t, s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", TTL: math.MaxInt64}})[0].Err)
		sub := openGroup(t, p, driver.SubscriptionConfig{Group: "g", Start: driver.StartEarliest, AckDeadline: math.MaxInt64})
		publish(t, p, driver.Message{ID: "a"}, driver.Message{ID: "b"}, driver.Message{ID: "a"})
		ds, err := sub.Receive(t.Context(), 10)
		check.NoError(t, err)
		if len(ds) != 2 {
			t.Fatalf("received %d messages, want 2", len(ds))
		}
		for i, kind := range []driver.SettleKind{driver.Nack, driver.Extend} {
			check.NoError(t, sub.Settle(t.Context(), []driver.Settlement{{Token: ds[i].Token, Kind: kind, Delay: math.MaxInt64}})[0])
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*365*24*time.Hour)
		defer cancel()
		if got, err := sub.Receive(ctx, 10); len(got) > 0 || fairlead.CodeOf(err) != fairlead.DeadlineExceeded {
			t.Errorf("within a hundred years: %+v, %v", got, err)
		}
		check.NoError(t, s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "k"}})[0].Err)
	})
}
