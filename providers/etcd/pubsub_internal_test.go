package etcd

import (
	"maps"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

func FuzzDecodeMessage(f *testing.F) {
	f.Add(encodeMessage(driver.Message{ID: "id", Key: "k", Body: []byte("b"), Metadata: map[string]string{"a": "1", "": ""}}, time.UnixMilli(1234)))
	f.Add([]byte{})
	f.Add([]byte{1, 200, 1, 3})
	f.Fuzz(func(t *testing.T, stored []byte) {
		d, err := decodeMessage(stored)
		if err != nil {
			return
		}
		m := driver.Message{ID: d.ID, Key: d.Key, Body: d.Body, Metadata: d.Metadata}
		again, err := decodeMessage(encodeMessage(m, d.Time))
		if err != nil || again.ID != d.ID || again.Key != d.Key || string(again.Body) != string(d.Body) || !maps.Equal(again.Metadata, d.Metadata) || !again.Time.Equal(d.Time) {
			t.Errorf("%+v became %+v, %v", d, again, err)
		}
	})
}

// FuzzDecodeState: whatever etcd holds, it does not stop a group, and what was
// written is read.
func FuzzDecodeState(f *testing.F) {
	k := testGroup().keys
	f.Add(k.position("g"), []byte("7"))
	f.Add(k.pending("g", 3), encodeRecord(pendingRecord{Key: "k"}))
	f.Add(k.lease("g", 3), encodeRecord(leaseRecord{Owner: "o", Lease: 1, Due: 9, Attempt: 2}))
	f.Add([]byte(k.state("g")+"pending/+0000000000000000001"), []byte("{"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		g := testGroup()
		g.name = "g"
		g.showState(&mvccpb.KeyValue{Key: k.pending("g", 3), Value: []byte("{}"), ModRevision: 1}, false)
		g.showState(&mvccpb.KeyValue{Key: key, Value: value, ModRevision: 2}, false)
		g.ledger.due(time.Now(), 10)
		number, part := k.parseState("g", key)
		for want, again := range map[statePart][]byte{
			positionPart: k.position("g"), pendingPart: k.pending("g", number), leasePart: k.lease("g", number),
		} {
			if part == want && string(again) != string(key) {
				t.Errorf("the key %q is read as %q", key, again)
			}
		}
		if r, ok := decodePending(value); ok {
			if again, _ := decodePending(encodeRecord(r)); again != r {
				t.Errorf("%+v became %+v", r, again)
			}
		}
		if r, ok := decodeLease(value); ok {
			if again, _ := decodeLease(encodeRecord(r)); again != r {
				t.Errorf("%+v became %+v", r, again)
			}
		}
		g.showState(&mvccpb.KeyValue{Key: key, ModRevision: 3}, true)
	})
}

func FuzzParseEndpoint(f *testing.F) {
	f.Add([]byte(`{"Op":0,"Addr":"10.0.0.1:7000","Metadata":null}`))
	f.Add([]byte(`{"Addr":""}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if e, ok := parseEndpoint(value); ok && e.Address == "" {
			t.Errorf("%q is an endpoint without an address", value)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add(formatToken(12, 3))
	f.Add("012.3")
	f.Fuzz(func(t *testing.T, token string) {
		if number, lease, err := parseToken(token); err == nil && formatToken(number, lease) != token {
			t.Errorf("the token %q is read as %d, %d", token, number, lease)
		}
	})
}

// testGroup is a broadcast, whose state is in memory, of a topic with the messages
// 1 to 9.
func testGroup() *group {
	p := newProvider(config{clockSkew: 100 * time.Millisecond, prefix: "p"}, nil)
	p.prober.txnOps.Store(wantedTxnOps)
	g := p.newGroup(p.topicKeys("t"), "")
	g.ledger.newest = 9
	g.begin(1)
	return g
}

func (g *group) testMember(name string) *subscription {
	s := &subscription{p: g.p, g: g, name: name, lease: time.Second, held: map[uint64]bool{}, life: providers.NewLifetime("subscription")}
	g.add(s)
	return s
}

// addPending adds a message that nobody holds.
func (g *group) addPending(number uint64, key string) {
	g.ledger.setPending(number, pendingRecord{Key: key}, g.nextChange())
	g.ledger.setLease(number, leaseRecord{}, g.nextChange())
}

// take leases pending messages to a subscription.
func (s *subscription) take(now time.Time, numbers ...uint64) {
	for _, n := range numbers {
		s.g.leases++
		s.held[s.g.leases] = true
		s.g.ledger.setLease(n, leaseRecord{Owner: s.name, Lease: s.g.leases, Due: milliseconds(now.Add(s.lease)), Attempt: 3}, s.g.nextChange())
	}
}

func (g *group) dueNumbers(now time.Time) (numbers []uint64) {
	for _, e := range g.ledger.due(now, 100) {
		numbers = append(numbers, e.number)
	}
	return numbers
}

func wantNumbers(t *testing.T, what string, got []uint64, want ...uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestLeasesOfOtherProcessesEndLater: by as much as the clocks may differ.
func TestLeasesOfOtherProcessesEndLater(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	g := testGroup()
	ours := g.testMember("ours")
	for n := range uint64(2) {
		g.addPending(n+1, "")
	}
	ours.take(now, 1)
	g.ledger.setLease(2, leaseRecord{Owner: "theirs", Lease: 1, Due: now.Add(time.Second).UnixMilli()}, g.nextChange())
	wantNumbers(t, "during the leases", g.dueNumbers(now.Add(999*time.Millisecond)))
	wantNumbers(t, "after our lease", g.dueNumbers(now.Add(1099*time.Millisecond)), 1)
	wantNumbers(t, "after both", g.dueNumbers(now.Add(1100*time.Millisecond)), 1, 2)
}

// TestLeaseThatWasNeverReturned: the answer of the transaction that took a message
// was lost. The message comes at once, and the delivery does not count.
func TestLeaseThatWasNeverReturned(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	g := testGroup()
	g.testMember("ours")
	g.addPending(1, "")
	g.ledger.setLease(1, leaseRecord{Owner: "ours", Lease: 7, Due: now.Add(time.Hour).UnixMilli()}, g.nextChange())
	wantNumbers(t, "at once", g.dueNumbers(now), 1)
	if !g.isUnreturned(g.ledger.entries[1]) {
		t.Error("the delivery counts")
	}
}

// TestLanes: of the messages with one ordering key only the first is handed out,
// in whatever order the messages become known.
func TestLanes(t *testing.T) {
	now := time.Now()
	g := testGroup()
	s := g.testMember("s")
	keys := map[uint64]string{1: "x", 2: "x", 3: "y", 4: "x", 5: ""}
	for _, n := range []uint64{4, 2, 5, 1, 3} {
		g.addPending(n, keys[n])
	}
	wantNumbers(t, "first", g.dueNumbers(now), 1, 3, 5)
	if g.ledger.waiting != 2 {
		t.Errorf("%d messages wait, want 2", g.ledger.waiting)
	}
	s.take(now, 1, 3, 5)
	ack := func(number, lease uint64) {
		for _, err := range g.settle(t.Context(), s.name, []driver.Settlement{{Token: formatToken(number, lease), Kind: driver.Ack}}) {
			check.NoError(t, err)
		}
	}
	ack(1, 1)
	ack(3, 2)
	wantNumbers(t, "after two", g.dueNumbers(now), 2)
	s.take(now, 2)
	ack(2, 4)
	wantNumbers(t, "after three", g.dueNumbers(now), 4)
	if g.ledger.waiting != 0 || len(g.ledger.lanes) != 1 {
		t.Errorf("%d messages wait, %d lanes", g.ledger.waiting, len(g.ledger.lanes))
	}
}

// TestSettleKinds: what each settlement does to the message.
func TestSettleKinds(t *testing.T) {
	g := testGroup()
	s := g.testMember("s")
	for n := range uint64(5) {
		g.addPending(n+1, "")
	}
	now := time.Now()
	s.take(now, 1, 2, 3, 4, 5)
	all := []driver.Settlement{
		{Token: formatToken(1, 1), Kind: driver.Ack},
		{Token: formatToken(2, 2), Kind: driver.Nack},
		{Token: formatToken(3, 3), Kind: driver.Nack, Delay: time.Hour},
		{Token: formatToken(4, 4), Kind: driver.Release},
		{Token: formatToken(5, 5), Kind: driver.Extend, Delay: time.Hour},
		{Token: formatToken(1, 1), Kind: driver.Ack}, // again
		{Token: formatToken(2, 9), Kind: driver.Ack},
		{Token: "nonsense", Kind: driver.Ack},
	}
	want := []fairlead.Code{0, 0, 0, 0, 0, fairlead.Conflict, fairlead.Conflict, fairlead.Invalid}
	for i, err := range g.settle(t.Context(), s.name, all) {
		check.Code(t, err, want[i])
	}
	wantNumbers(t, "at once", g.dueNumbers(time.Now()), 2, 4)
	for number, want := range map[uint64]int{2: 3, 3: 3, 4: 2, 5: 3} {
		if got := g.ledger.entries[number].lease.Attempt; got != want {
			t.Errorf("message %d has the attempt %d, want %d", number, got, want)
		}
	}
	wantNumbers(t, "after half an hour", g.dueNumbers(time.Now().Add(30*time.Minute)), 2, 4)
	wantNumbers(t, "after two hours", g.dueNumbers(time.Now().Add(2*time.Hour)), 2, 4, 3, 5)
	if g.ledger.entries[1] != nil || len(s.held) != 1 {
		t.Errorf("the acknowledged message is kept, or leases are: %v", s.held)
	}
}

// TestLateEventsOfTheWatch: the watch shows what this process has done itself, when
// it has gone on already.
func TestLateEventsOfTheWatch(t *testing.T) {
	g := testGroup()
	g.name, g.ledger.seen = "g", 0
	show := func(key, value []byte, rev int64, deleted bool) {
		g.showState(&mvccpb.KeyValue{Key: key, Value: value, ModRevision: rev}, deleted)
	}
	g.ledger.setPending(1, pendingRecord{}, 5)
	g.ledger.remove(1, 6)
	show(g.keys.pending("g", 1), []byte("{}"), 5, false)
	wantNumbers(t, "a message that was acknowledged", g.dueNumbers(time.Now().Add(time.Hour))) // not even when a lease would have ended
	show(g.keys.pending("g", 1), nil, 6, true)
	if len(g.ledger.removed) > 0 {
		t.Error("the acknowledgement is still remembered")
	}
	held := leaseRecord{Owner: "o", Due: time.Now().Add(time.Hour).UnixMilli()}
	g.ledger.setPending(2, pendingRecord{}, 7)
	g.ledger.setLease(2, held, 8)
	g.ledger.setLease(2, leaseRecord{}, 9)
	show(g.keys.lease("g", 2), encodeRecord(held), 8, false)
	wantNumbers(t, "a message that was given back", g.dueNumbers(time.Now()), 2)
}

// TestLeaseWithoutRecord: a message that a process holds in its memory comes to
// that process when it is given back, and to others when a lease would have ended.
func TestLeaseWithoutRecord(t *testing.T) {
	g := testGroup()
	s := g.testMember("s")
	for n := range uint64(2) {
		g.addPending(n+1, "")
	}
	now := time.Now()
	g.ledger.endLease(1, g.nextChange())
	s.held[1] = true
	g.ledger.keep(2, leaseRecord{Owner: s.name, Lease: 1, Due: milliseconds(now.Add(time.Hour))}, g.nextChange())
	wantNumbers(t, "at once", g.dueNumbers(now))
	wantNumbers(t, "before the other process's lease has ended", g.dueNumbers(now.Add(s.lease)))
	wantNumbers(t, "after it", g.dueNumbers(now.Add(2*s.lease)), 1)
	for _, err := range g.settle(t.Context(), s.name, []driver.Settlement{{Token: formatToken(2, 1), Kind: driver.Nack}}) {
		check.NoError(t, err)
	}
	wantNumbers(t, "given back", g.dueNumbers(time.Now()), 2)
}

// TestReadingTheStateAgain: what this process has written after the state was read
// is kept.
func TestReadingTheStateAgain(t *testing.T) {
	g := testGroup()
	g.name = "g"
	old := newLedger(g.dueAt)
	held := leaseRecord{Owner: "o", Lease: 1, Due: time.Now().Add(time.Hour).UnixMilli()}
	for n := range uint64(3) {
		old.setPending(n+1, pendingRecord{}, 3)
		old.setLease(n+1, leaseRecord{}, 3)
	}
	now := newLedger(g.dueAt)
	now.seen = 5
	for n := range uint64(3) {
		now.setPending(n+1, pendingRecord{}, 3)
		now.setLease(n+1, leaseRecord{}, 3)
	}
	old.setLease(1, held, 6)
	old.remove(2, 7)
	old.setPending(4, pendingRecord{}, 8)
	old.setLease(4, held, 8)
	old.next, old.nextRev = 5, 8
	now.keepNewer(old, 5)
	g.ledger = now
	wantNumbers(t, "free", g.dueNumbers(time.Now()), 3)
	wantNumbers(t, "held", now.heldBy("o"), 1, 4)
	if now.next != 5 {
		t.Errorf("the next message is %d, want 5", now.next)
	}
}
