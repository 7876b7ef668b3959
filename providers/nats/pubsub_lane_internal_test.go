package nats

import (
	"testing"
	"time"

	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

func openTopicAndGroup(t *testing.T, p *provider, group string) (*publisher, *subscription) {
	t.Helper()
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: group, Start: driver.StartNew, AckDeadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return topic.(*publisher), s.(*subscription)
}

func sendKeyed(t *testing.T, topic *publisher, key string, bodies ...string) {
	t.Helper()
	msgs := make([]driver.Message, len(bodies))
	for i, b := range bodies {
		msgs[i] = driver.Message{Key: key, Body: []byte(b)}
	}
	for _, r := range topic.Send(t.Context(), msgs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

func ackNext(t *testing.T, s *subscription, want string) {
	t.Helper()
	got, err := s.Receive(t.Context(), 10)
	if err != nil || len(got) != 1 || string(got[0].Body) != want {
		t.Fatalf("got %v, %v; want only %s", got, err, want)
	}
	if err := s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: driver.Ack}})[0]; err != nil {
		t.Fatal(err)
	}
}

// A message after the token is acknowledged to the server, and found again through
// its lane. A message before the token is not acknowledged, so that it is not
// trimmed.
func TestLaneWhoseTokenIsNotItsHead(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	sendKeyed(t, topic, "k", "1", "2", "3")
	lane, _ := topic.current.Load().laneOf(topic.current.Load().subjectOf("k"))

	got, written, _, err := s.takeTurn(t.Context(), lane, 2) // as if the second message came first
	if err != nil || got == nil || string(got.head.Data[len(got.head.Data)-1:]) != "1" || written.Token != 2 {
		t.Fatalf("%+v, %+v, %v", got, written, err)
	}
	for seq, want := range map[uint64]bool{1: false, 3: true} {
		other, _, settled, err := s.takeTurn(t.Context(), lane, seq)
		if err != nil || other != nil || settled != want {
			t.Errorf("message %d may be acknowledged: %v, want %v (%v, %v)", seq, settled, want, other, err)
		}
		if written.covers(seq) != want {
			t.Errorf("the record covers message %d: %v", seq, !want)
		}
	}
	if last, err := s.leaveLane(t.Context(), got); last || err != nil {
		t.Fatalf("the lane is free with two messages left: %v", err)
	}
	if _, err := s.leaveLane(t.Context(), got); !isConflict(err) {
		t.Errorf("acknowledged twice: %v", err)
	}
	if _, _, settled, err := s.takeTurn(t.Context(), lane, 1); !settled || err != nil {
		t.Errorf("a message below the floor comes again: %v, %v", settled, err)
	}
	// The token comes again; then the server loses it.
	if got, _, _, err = s.takeTurn(t.Context(), lane, 2); err != nil || got == nil || got.head.Seq != 2 || got.record.Attempt != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := p.callAPI(t.Context(), "STREAM.MSG.DELETE."+topic.stream, map[string]uint64{"seq": 2}, nil, true); err != nil {
		t.Fatal(err)
	}
	if got, _, _, err = s.takeTurn(t.Context(), lane, 3); err != nil || got == nil || got.head.Seq != 3 {
		t.Fatalf("the lane of a lost token: %+v, %v", got, err)
	}
	if last, err := s.leaveLane(t.Context(), got); !last || err != nil {
		t.Fatalf("the lane is not free: %v, %v", last, err)
	}
}

// The records of keys are dropped when they are not needed any more, when their
// group is deleted, and when the topic is deleted.
func TestLaneRecordsAreDropped(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	_, other := openTopicAndGroup(t, p, "other")
	records := func(want int) {
		t.Helper()
		info, err := p.streamInfo(t.Context(), p.streamName(kindLanes, "t"))
		live := 0
		if err == nil {
			book := s.book().(*sharedBook)
			st, err := book.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			keys, _, err := st.keysOf(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			entries, err := st.readEntries(t.Context(), keys)
			if err != nil {
				t.Fatal(err)
			}
			live = len(entries)
		}
		if live != want {
			t.Fatalf("%d records, want %d: %+v, %v", live, want, info.State, err)
		}
	}
	sendKeyed(t, topic, "", "no key")
	ackNext(t, s, "no key")
	records(0)
	sendKeyed(t, topic, "a", "1")
	sendKeyed(t, topic, "b", "2")
	got, err := s.Receive(t.Context(), 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	if err := s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: driver.Ack}})[0]; err != nil {
		t.Fatal(err)
	}
	records(2)
	sweep := func() {
		t.Helper()
		s.swept = time.Time{}
		if err := s.sweepLanes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until := time.Now().Add(5 * time.Second)
	for info, _ := p.consumerInfo(t.Context(), s.stream, s.consumer); info.Acked.Stream < 2 && time.Now().Before(until); {
		info, _ = p.consumerInfo(t.Context(), s.stream, s.consumer)
	}
	sweep()
	records(1) // the record of a message in flight stays
	if got, err = other.Receive(t.Context(), 10); err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	records(3)
	if err := p.DeleteGroup(t.Context(), "t", "other"); err != nil {
		t.Fatal(err)
	}
	records(1)
	if err := p.DeleteTopic(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.streamInfo(t.Context(), p.streamName(kindLanes, "t")); !isAPI(err, codeStreamNotFound) {
		t.Errorf("the records outlive their topic: %v", err)
	}
	// The same handle continues with the topic that was created again.
	sendKeyed(t, topic, "a", "3")
	for range 3 {
		if got, err = s.Receive(t.Context(), 10); err == nil {
			break
		}
	}
	if err != nil || len(got) != 1 || string(got[0].Body) != "3" {
		t.Fatalf("%v, %v", got, err)
	}
}

// Both implementations of laneBook keep to its contract.
func TestLaneBooks(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	shared := &sharedBook{p: p, topic: "t", prefix: "g/1/"}
	defer shared.close()
	for name, b := range map[string]laneBook{"own": newOwnBook(), "shared": shared} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if r, revision, err := b.read(ctx, "l"); r != (laneRecord{}) || revision != "" || err != nil {
				t.Fatalf("%+v %q %v", r, revision, err)
			}
			want := laneRecord{Floor: 1, Token: 2, Head: 2, Attempt: 3, Owner: "o"}
			first, err := b.write(ctx, "l", want, "")
			if err != nil || first == "" {
				t.Fatal(first, err)
			}
			if _, err := b.write(ctx, "l", laneRecord{}, ""); !isConflict(err) {
				t.Errorf("a record was created twice: %v", err)
			}
			if r, revision, err := b.read(ctx, "l"); r != want || revision != first || err != nil {
				t.Fatalf("%+v %q %v", r, revision, err)
			}
			second, err := b.write(ctx, "l", laneRecord{Floor: 2}, first)
			if err != nil || second == first {
				t.Fatal(second, err)
			}
			if _, err := b.write(ctx, "l", want, first); !isConflict(err) {
				t.Errorf("an old revision: %v", err)
			}
			if err := b.sweep(ctx, 1); err != nil {
				t.Fatal(err)
			}
			if _, revision, _ := b.read(ctx, "l"); revision != second {
				t.Errorf("a sweep dropped a record that says more than the server knows")
			}
			if err := b.sweep(ctx, 2); err != nil {
				t.Fatal(err)
			}
			if _, revision, err := b.read(ctx, "l"); revision != "" || err != nil {
				t.Errorf("a sweep kept a record that is not needed: %q, %v", revision, err)
			}
		})
	}
}

// A broadcast keeps the order of keys, too, and stores no records on the server.
func TestBroadcastKeepsLanes(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "")
	sendKeyed(t, topic, "k", "1", "2", "3")
	for _, want := range []string{"1", "2", "3"} {
		ackNext(t, s, want)
	}
	if _, err := p.streamInfo(t.Context(), p.streamName(kindLanes, "t")); !isAPI(err, codeStreamNotFound) {
		t.Errorf("a broadcast made a stream: %v", err)
	}
}

func FuzzLaneRecord(f *testing.F) {
	f.Add([]byte(`{"floor":1,"token":2,"head":2,"attempt":1,"owner":"o"}`))
	f.Add([]byte(`{"floor":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseLane(b); err == nil {
			_ = r.covers(r.Token)
		}
	})
}
