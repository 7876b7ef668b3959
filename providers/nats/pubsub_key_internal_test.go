package nats

import (
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

func openTopicAndGroup(t *testing.T, p *provider, group string) (*publisher, *subscription) {
	t.Helper()
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	s, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: group, Start: driver.StartNew, AckDeadline: time.Minute})
	check.NoError(t, err)
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
	check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: driver.Ack}})[0])
}

// A message after the token is acknowledged to the server, and found again through
// its key. A message before the token is not acknowledged, so that it is not
// trimmed.
func TestKeyWhoseTokenIsNotItsHead(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	sendKeyed(t, topic, "k", "1", "2", "3")
	hash, _ := topic.current.Load().keyHashOf(topic.current.Load().subjectOf("k"))

	got, written, _, err := s.takeTurn(t.Context(), hash, 2) // as if the second message came first
	if err != nil || got == nil || string(got.head.Data[len(got.head.Data)-1:]) != "1" || written.Token != 2 {
		t.Fatalf("%+v, %+v, %v", got, written, err)
	}
	for seq, want := range map[uint64]bool{1: false, 3: true} {
		other, _, settled, err := s.takeTurn(t.Context(), hash, seq)
		if err != nil || other != nil || settled != want {
			t.Errorf("message %d may be acknowledged: %v, want %v (%v, %v)", seq, settled, want, other, err)
		}
		if written.covers(seq) != want {
			t.Errorf("the record covers message %d: %v", seq, !want)
		}
	}
	if last, err := s.settleHead(t.Context(), got); last || err != nil {
		t.Fatalf("the key is free with two messages left: %v", err)
	}
	if _, err := s.settleHead(t.Context(), got); !isConflict(err) {
		t.Errorf("acknowledged twice: %v", err)
	}
	if _, _, settled, err := s.takeTurn(t.Context(), hash, 1); !settled || err != nil {
		t.Errorf("a message below the floor comes again: %v, %v", settled, err)
	}
	// The token comes again; then the server loses it.
	if got, _, _, err = s.takeTurn(t.Context(), hash, 2); err != nil || got == nil || got.head.Seq != 2 || got.record.Attempt != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	check.NoError(t, p.callAPI(t.Context(), "STREAM.MSG.DELETE."+topic.stream, map[string]uint64{"seq": 2}, nil, true))
	if got, _, _, err = s.takeTurn(t.Context(), hash, 3); err != nil || got == nil || got.head.Seq != 3 {
		t.Fatalf("the key of a lost token: %+v, %v", got, err)
	}
	if last, err := s.settleHead(t.Context(), got); !last || err != nil {
		t.Fatalf("the key is not free: %v, %v", last, err)
	}
}

// The records of keys are dropped when they are not needed any more, when their
// group is deleted, and when the topic is deleted.
func TestKeyRecordsAreDropped(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	_, other := openTopicAndGroup(t, p, "other")
	records := func(want int) {
		t.Helper()
		info, err := p.streamInfo(t.Context(), p.streamName(kindRecords, "t"))
		live := 0
		if err == nil {
			records := s.records().(*sharedRecords)
			found, err := records.opened(t.Context())
			check.NoError(t, err)
			st := found.top()
			keys, _, err := st.keysOf(t.Context(), "")
			check.NoError(t, err)
			entries, err := st.readEntries(t.Context(), keys)
			check.NoError(t, err)
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
	check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: driver.Ack}})[0])
	records(2)
	sweep := func() {
		t.Helper()
		s.swept = time.Time{}
		check.NoError(t, s.sweepRecords(t.Context()))
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
	check.NoError(t, p.DeleteGroup(t.Context(), "t", "other"))
	records(1)
	check.NoError(t, p.DeleteTopic(t.Context(), "t"))
	if _, err := p.streamInfo(t.Context(), p.streamName(kindRecords, "t")); !isAPI(err, codeStreamNotFound) {
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

// Both implementations of keyRecords keep to its contract.
func TestKeyRecords(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	shared := newSharedRecords(p, "t", "g/1/")
	defer shared.close()
	for name, b := range map[string]keyRecords{"own": newLocalRecords(), "shared": shared} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			r, none, err := b.read(ctx, "l")
			if r != (keyRecord{}) || none.exists() || err != nil {
				t.Fatalf("%+v %+v %v", r, none, err)
			}
			want := keyRecord{Floor: 1, Token: 2, Head: 2, Attempt: 3, Owner: "o"}
			first, err := b.write(ctx, "l", want, none)
			if err != nil || !first.exists() {
				t.Fatal(first, err)
			}
			if _, err := b.write(ctx, "l", keyRecord{}, none); !isConflict(err) {
				t.Errorf("a record was created twice: %v", err)
			}
			if r, v, err := b.read(ctx, "l"); r != want || v.revision != first.revision || err != nil {
				t.Fatalf("%+v %+v %v", r, v, err)
			}
			second, err := b.write(ctx, "l", keyRecord{Floor: 2}, first)
			if err != nil || second.revision == first.revision {
				t.Fatal(second, err)
			}
			if _, err := b.write(ctx, "l", want, first); !isConflict(err) {
				t.Errorf("an old revision: %v", err)
			}
			check.NoError(t, b.sweep(ctx, 1))
			if _, v, _ := b.read(ctx, "l"); v.revision != second.revision {
				t.Errorf("a sweep dropped a record that says more than the server knows")
			}
			check.NoError(t, b.sweep(ctx, 2))
			if _, v, err := b.read(ctx, "l"); v.exists() || err != nil {
				t.Errorf("a sweep kept a record that is not needed: %+v, %v", v, err)
			}
		})
	}
}

// A broadcast keeps the order of keys, too, and stores no records on the server.
func TestBroadcastKeepsKeysInOrder(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "")
	sendKeyed(t, topic, "k", "1", "2", "3")
	for _, want := range []string{"1", "2", "3"} {
		ackNext(t, s, want)
	}
	if _, err := p.streamInfo(t.Context(), p.streamName(kindRecords, "t")); !isAPI(err, codeStreamNotFound) {
		t.Errorf("a broadcast made a stream: %v", err)
	}
}

func FuzzKeyRecord(f *testing.F) {
	f.Add([]byte(`{"floor":1,"token":2,"head":2,"attempt":1,"owner":"o"}`))
	f.Add([]byte(`{"floor":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseKeyRecord(b); err == nil {
			_ = r.covers(r.Token)
		}
	})
}
