package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// smallStore is a server whose storage for files is small.
func smallStore(t *testing.T, opts ...testbed.NATSOption) *testbed.NATSServer {
	return testbed.NATS(t, append(opts, testbed.NATSStorage("2MB"))...)
}

// fill publishes messages without a key until the server has no room.
func fill(t *testing.T, topic *publisher) {
	t.Helper()
	for range 1000 {
		err := topic.Send(t.Context(), []driver.Message{{Body: make([]byte, 50_000)}})[0].Err
		if err == nil {
			continue
		}
		if fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "full") {
			t.Fatalf("a message to a full server: %v; want Unavailable, and the word full", err)
		}
		return
	}
	t.Fatal("the server is never full: the test shows nothing")
}

func purge(t *testing.T, p *provider, stream string) {
	t.Helper()
	check.NoError(t, p.callAPI(t.Context(), "STREAM.PURGE."+stream, nil, nil, true))
}

// receiveKeyed receives until it has n messages, and acknowledges them.
func receiveKeyed(t *testing.T, s *subscription, n int) (bodies []string) {
	t.Helper()
	for len(bodies) < n {
		got, err := s.Receive(t.Context(), n-len(bodies))
		if err != nil {
			t.Fatalf("after %d messages: %v", len(bodies), err)
		}
		for _, d := range got {
			bodies = append(bodies, string(d.Body))
			check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0])
		}
	}
	return bodies
}

// A server without room hands out messages with keys, in the order of the keys,
// and takes their acknowledgements.
func TestFullServerDrains(t *testing.T) {
	server := smallStore(t)
	p, other := openProvider(t, server.URL()), openProvider(t, server.URL())
	topic, s := openTopicAndGroup(t, p, "g")
	for i := range 20 {
		sendKeyed(t, topic, fmt.Sprint(i%4), fmt.Sprint(i))
	}
	receiveKeyed(t, s, 5) // some of the keys have records
	filler, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "filler"})
	check.NoError(t, err)
	fill(t, filler.(*publisher))

	got, err := s.Receive(t.Context(), 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	settle := func(kind driver.SettleKind) {
		t.Helper()
		check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: kind}})[0])
	}
	settle(driver.Extend)
	settle(driver.Nack)
	_, second := openTopicAndGroup(t, other, "g")
	seen := map[string][]string{}
	for count(seen) < 15 {
		for _, from := range []*subscription{s, second} {
			if count(seen) == 15 {
				break
			}
			got, err := from.Receive(t.Context(), 2)
			if err != nil {
				t.Fatalf("after %d messages: %v", count(seen), err)
			}
			for _, d := range got {
				seen[d.Key] = append(seen[d.Key], string(d.Body))
				check.NoError(t, from.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0])
			}
		}
	}
	for key, bodies := range seen {
		last := -1
		for _, b := range bodies {
			n := 0
			_, _ = fmt.Sscan(b, &n)
			if n <= last {
				t.Errorf("the key %s: %v", key, bodies)
			}
			last = n
		}
	}

	below, err := p.layerStreams(t.Context(), "t")
	if err != nil || len(below) < 2 {
		t.Fatalf("the layers on a full server are %+v, %v", below, err)
	}
	for _, l := range below[:len(below)-1] {
		if l.Config.MaxMsgSize != frozenSize {
			t.Errorf("the layer %d is not the highest, and takes records", l.index)
		}
	}

	// There is room again: the records go back to a file, and none is lost.
	purge(t, p, "fairlead-ps-filler")
	sendKeyed(t, topic, "0", "a", "b")
	held, err := s.Receive(t.Context(), 1)
	if err != nil || len(held) != 1 || string(held[0].Body) != "a" {
		t.Fatalf("%v, %v", held, err)
	}
	for range 4 {
		for _, x := range []*subscription{s, second} {
			x.swept = time.Time{}
			check.NoError(t, x.sweepRecords(t.Context()))
		}
	}
	found, err := p.layerStreams(t.Context(), "t")
	if err != nil || len(found) != 1 || found[0].Config.Storage != "file" || found[0].index != 2 {
		t.Errorf("the layers are %+v, %v", found, err)
	}
	check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: held[0].Token, Kind: driver.Ack}})[0])
	if got := receiveKeyed(t, s, 1); got[0] != "b" {
		t.Errorf("got %v after a", got)
	}
}

func count(seen map[string][]string) (n int) {
	for _, s := range seen {
		n += len(s)
	}
	return n
}

// The records in memory are lost with the server. No message is.
func TestFullServerRestarts(t *testing.T) {
	server := smallStore(t)
	p := openProvider(t, server.URL())
	topic, s := openTopicAndGroup(t, p, "g")
	for i := range 6 {
		sendKeyed(t, topic, "k", fmt.Sprint(i))
	}
	receiveKeyed(t, s, 1)
	held, err := s.Receive(t.Context(), 1) // its record, on file, holds a token
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	filler, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "filler"})
	check.NoError(t, err)
	fill(t, filler.(*publisher))
	check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: held[0].Token, Kind: driver.Ack}})[0])
	if got := receiveKeyed(t, s, 1); got[0] != "2" {
		t.Fatal(got)
	}
	check.NoError(t, server.Kill(t.Context()))
	check.NoError(t, server.Start(t.Context()))
	seen := map[string]bool{}
	for !seen["5"] {
		got, err := s.Receive(t.Context(), 10)
		if fairlead.CodeOf(err) == fairlead.Unavailable {
			continue
		}
		check.NoError(t, err)
		for _, d := range got {
			seen[string(d.Body)] = true
			err := s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0]
			if err != nil && !errors.Is(err, fairlead.Conflict) {
				t.Fatal(err)
			}
		}
	}
	if !seen["3"] || !seen["4"] {
		t.Errorf("messages were lost: %v", seen)
	}
}

// The record of a key on file holds a token that was acknowledged since, and the layer
// in memory that says so is lost. Another group keeps the messages in the stream.
func TestLostLayerHoldsNoKeyBack(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	openTopicAndGroup(t, p, "other")
	sendKeyed(t, topic, "k", "0", "1")
	held, err := s.Receive(t.Context(), 1)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	records := s.records().(*sharedRecords)
	onFile, err := records.opened(t.Context())
	check.NoError(t, err)
	check.NoError(t, p.createLayer(t.Context(), "t", 1, inMemory))
	records.forget(onFile)
	check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: held[0].Token, Kind: driver.Ack}})[0])
	ackNext(t, s, "1")
	check.Eventually(t, "the server knows of both acknowledgements", func() bool {
		info, err := p.consumerInfo(t.Context(), s.stream, s.consumer)
		return err == nil && info.Acked.Stream == 2
	})
	found, err := p.layerStreams(t.Context(), "t")
	if err != nil || len(found) != 2 {
		t.Fatalf("the layers are %+v, %v; want two", found, err)
	}
	check.NoError(t, p.deleteStream(t.Context(), found[1].Config.Name))

	sendKeyed(t, topic, "k", "2")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a key that is held back for good
	defer cancel()
	for {
		got, err := s.Receive(ctx, 1)
		if ctx.Err() != nil {
			t.Fatalf("the key is held back: %v", err)
		}
		if len(got) == 1 && string(got[0].Body) == "2" {
			return
		}
	}
}

// A watcher that resumes before a key that was deleted without a marker is told that
// it cannot see everything; one that resumes after it sees what comes.
func TestResumeBeforeAnUnmarkedDelete(t *testing.T) {
	server := smallStore(t)
	p := openProvider(t, server.URL())
	s := openTestStore(t, p)
	before := do(t, s, kvdriver.Op{Kind: kvdriver.OpPut, Key: "k"})
	filler, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "filler"})
	check.NoError(t, err)
	fill(t, filler.(*publisher))
	do(t, s, kvdriver.Op{Kind: kvdriver.OpDelete, Key: "k"})
	_, err = s.Watch(t.Context(), kvdriver.WatchRequest{After: before})
	check.Code(t, err, fairlead.Compacted)

	purge(t, p, "fairlead-ps-filler")
	after := do(t, s, kvdriver.Op{Kind: kvdriver.OpPut, Key: "l"})
	last := do(t, s, kvdriver.Op{Kind: kvdriver.OpPut, Key: "m"})
	w, err := s.Watch(t.Context(), kvdriver.WatchRequest{After: after})
	check.NoError(t, err)
	events, err := w.Next(t.Context())
	if err != nil || len(events) == 0 || events[len(events)-1].Key == "l" {
		t.Errorf("after %s, up to %s: %+v, %v", after, last, events, err)
	}
}

// A full server refuses writes of keys with an error that says so.
func TestFullStore(t *testing.T) {
	server := smallStore(t)
	p := openProvider(t, server.URL())
	s := openTestStore(t, p)
	kept := do(t, s, kvdriver.Op{Kind: kvdriver.OpPut, Key: "kept", Value: []byte("v")})
	filler, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "filler"})
	check.NoError(t, err)
	fill(t, filler.(*publisher))
	for _, op := range []kvdriver.Op{
		{Kind: kvdriver.OpPut, Key: "k"}, {Kind: kvdriver.OpCreate, Key: "k"},
		{Kind: kvdriver.OpCAS, Key: "kept", Revision: kept},
	} {
		err := s.Do(t.Context(), []kvdriver.Op{op})[0].Err
		if fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "full") {
			t.Errorf("operation %d: %v; want Unavailable, and the word full", op.Kind, err)
		}
	}
	_, err = s.Txn(t.Context(), kvdriver.Txn{Writes: []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "a"}, {Kind: kvdriver.OpPut, Key: "b"}}})
	if fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "full") {
		t.Errorf("a transaction: %v; want Unavailable, and the word full", err)
	}
}

// The note of a process about keys that it deleted without a marker survives the note
// of another one that has seen less, and is written again if it is lost.
func TestNotesOfTwoProcesses(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	s := openTestStore(t, p)
	check.NoError(t, s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k"}})[0].Err)
	noted := func() uint64 {
		t.Helper()
		info, err := p.streamInfo(t.Context(), s.stream)
		check.NoError(t, err)
		return info.unmarked()
	}
	check.NoError(t, s.writeNote(t.Context(), 100))
	check.NoError(t, s.writeNote(t.Context(), 50))
	if got := noted(); got != 100 {
		t.Errorf("after the note of a process that has seen less: %d, want 100", got)
	}
	// Another process has read the configuration before the note, and writes it after.
	check.NoError(t, p.updateStream(t.Context(), s.stream, func(config map[string]json.RawMessage) error {
		config["metadata"] = json.RawMessage(strings.Replace(string(config["metadata"]), `"100"`, `"0"`, 1))
		return nil
	}))
	if got := noted(); got != 0 {
		t.Fatalf("the note is %d: the test shows nothing", got)
	}
	s.restoreNote(t.Context())
	if got := noted(); got != 1 {
		t.Errorf("after the note was overwritten: %d, want 1", got)
	}
}
