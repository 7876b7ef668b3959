package nats

import (
	"context"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// What another program may do to the streams and consumers of a provider, and what
// the provider then reports.

// Messages that are purged or deleted before they were received are reported, once,
// and the subscription goes on.
func TestPurgedUnreadMessages(t *testing.T) {
	for what, remove := range map[string]func(p *provider, stream string) error{
		"purged": func(p *provider, stream string) error {
			return p.callAPI(t.Context(), "STREAM.PURGE."+stream, nil, nil, true)
		},
		"deleted": func(p *provider, stream string) error {
			return p.callAPI(t.Context(), "STREAM.MSG.DELETE."+stream, map[string]int{"seq": 2}, nil, true)
		},
	} {
		for _, group := range []string{"g", ""} {
			t.Run(what+" before "+group, func(t *testing.T) {
				p := openProvider(t, testbed.NATS(t).URL())
				topic, s := openTopicAndGroup(t, p, group)
				send := func(body string) {
					t.Helper()
					check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: []byte(body)}})[0].Err)
				}
				send("1")
				ackNext(t, s, "1")
				send("2")
				check.NoError(t, remove(p, topic.stream))
				send("3")
				if got, err := s.Receive(t.Context(), 10); fairlead.CodeOf(err) != fairlead.Compacted {
					t.Fatalf("%v, %v; want Compacted", got, err)
				}
				got, err := s.Receive(t.Context(), 10)
				if err != nil || len(got) != 1 || string(got[0].Body) != "3" || got[0].Attempt != 1 {
					t.Fatalf("after the gap: %+v, %v", got, err)
				}
			})
		}
	}
}

// Messages that were received, given back and trimmed leave no gap.
func TestTrimmedMessagesAreNoGap(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL()+"?retention=1ms")
	topic, s := openTopicAndGroup(t, p, "g")
	for i := range 20 {
		check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: []byte("m")}})[0].Err)
		got, err := s.Receive(t.Context(), 1)
		check.NoError(t, err)
		kind := driver.Ack
		if i%3 == 0 {
			kind = driver.Nack
		}
		for _, d := range got {
			check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: kind}})[0])
		}
		check.NoError(t, topic.trim(t.Context()))
	}
}

// A handle continues with a store that was deleted and created again under it.
func TestStoreCreatedAgain(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	opened, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
	check.NoError(t, err)
	put := func(s kvdriver.Store, value string) kvdriver.Revision {
		t.Helper()
		r := s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", Value: []byte(value)}})[0]
		check.NoError(t, r.Err)
		return r.Revision
	}
	old := put(opened, "1")
	w, err := opened.Watch(t.Context(), kvdriver.WatchRequest{})
	check.NoError(t, err)
	check.NoError(t, p.DeleteStore(t.Context(), "s"))

	_, err = opened.List(t.Context(), kvdriver.ListRequest{Limit: 10})
	check.Code(t, err, fairlead.Unavailable) // and does not create it
	names, err := p.Stores(t.Context(), "")
	if err != nil || len(names) != 0 {
		t.Errorf("after a read there are the stores %v, %v", names, err)
	}
	other, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: "s"})
	check.NoError(t, err)
	put(other, "2")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := w.Next(ctx); fairlead.CodeOf(err) != fairlead.Compacted {
		t.Errorf("a watcher of the deleted store: %v; want Compacted", err)
	}
	r := opened.Do(ctx, []kvdriver.Op{{Kind: kvdriver.OpGet, Key: "k"}, {Kind: kvdriver.OpCAS, Key: "k", Revision: old}})
	if r[0].Err != nil || string(r[0].Value) != "2" || fairlead.CodeOf(r[1].Err) != fairlead.Conflict {
		t.Errorf("the handle of the deleted store: %+v", r)
	}
	w, err = opened.Watch(ctx, kvdriver.WatchRequest{})
	check.NoError(t, err)
	put(other, "3")
	events, err := w.Next(ctx)
	if err != nil || len(events) != 1 || string(events[0].Value) != "3" {
		t.Errorf("a new watcher: %+v, %v", events, err)
	}
	check.NoError(t, p.DeleteStore(ctx, "s"))
	put(opened, "4") // creates it
	_, err = opened.Watch(ctx, kvdriver.WatchRequest{After: old})
	check.Code(t, err, fairlead.Compacted)
}

// A topic that was deleted and created again under a consumer is reported, and the
// consumer goes on.
func TestTopicCreatedAgain(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	check.NoError(t, p.callAPI(t.Context(), "STREAM.DELETE."+topic.stream, nil, nil, true))
	check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: []byte("new")}})[0].Err)
	compacted := false
	check.Eventually(t, "the message of the new topic", func() bool {
		got, err := s.Receive(t.Context(), 1)
		compacted = compacted || fairlead.CodeOf(err) == fairlead.Compacted
		return len(got) == 1
	})
	if !compacted {
		t.Error("the loss was not reported")
	}
}

// A group that is missing for a moment was not deleted: a server that starts may know a
// stream before its consumers.
func TestGroupMissingForAMoment(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	remove := func() {
		t.Helper()
		check.NoError(t, p.callAPI(t.Context(), "CONSUMER.DELETE."+s.stream+"."+s.consumer, nil, nil, true))
	}
	remove()
	ctx, cancel := context.WithTimeout(t.Context(), confirmAfter/4)
	defer cancel()
	got, err := s.Receive(ctx, 1)
	check.Code(t, err, fairlead.DeadlineExceeded)
	if len(got) > 0 {
		t.Errorf("a group that is missing delivered %+v", got)
	}
	check.NoError(t, s.createConsumer(t.Context(), s.config()))
	check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: []byte("m")}})[0].Err)
	ackNext(t, s, "m")
	remove()
	_, err = s.Receive(t.Context(), 1)
	check.Code(t, err, fairlead.NotFound)
}
