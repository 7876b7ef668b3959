package nats

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// Connections that break again and again do not end the consumers of messages with
// keys.
func TestCutConnections(t *testing.T) {
	server := testbed.NATS(t)
	proxy := testbed.Proxy(t, server.Addr())
	direct := openProvider(t, server.URL())
	topic, _ := openTopicAndGroup(t, direct, "unused")
	const keys, each = 8, 30
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{} // by key, how many messages
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, c := range seen {
			n += c
		}
		return n == keys*each
	}
	var group sync.WaitGroup
	for range 2 {
		_, s := openTopicAndGroup(t, openProvider(t, "nats://"+proxy.Addr()), "g")
		group.Go(func() {
			for ctx.Err() == nil {
				got, err := s.Receive(ctx, 10)
				if err != nil && ctx.Err() == nil && fairlead.CodeOf(err) != fairlead.Unavailable {
					t.Errorf("Receive: %v; want Unavailable, after which a consumer goes on", err)
					cancel()
				}
				for _, d := range got {
					var n int
					_, _ = fmt.Sscan(string(d.Body), &n)
					mu.Lock()
					if n == seen[d.Key] {
						seen[d.Key]++
					} else if n > seen[d.Key] {
						t.Errorf("the key %s: message %d before message %d", d.Key, n, seen[d.Key])
					}
					mu.Unlock()
					_ = s.Settle(ctx, []driver.Settlement{{Token: d.Token, Kind: driver.Ack}}) // or it comes again
				}
			}
		})
	}
	for i := range each {
		for k := range keys {
			sendKeyed(t, topic, fmt.Sprint(k), fmt.Sprint(i))
		}
	}
	for range 40 {
		proxy.Cut()
		if all() {
			break
		}
		time.Sleep(60 * time.Millisecond) // how often, not in which order
	}
	for !all() && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	group.Wait()
	if !all() {
		t.Errorf("not all messages came: %v", seen)
	}
}

// A message that comes for a Receive that has given up is no attempt: the next
// Receive has it.
func TestShortReceives(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
		_, _ = s.Receive(ctx, 10)
		cancel()
		check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: fmt.Append(nil, i)}})[0].Err)
		for got := false; !got; {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%4)*time.Millisecond)
			msgs, _ := s.Receive(ctx, 10)
			cancel()
			for _, d := range msgs {
				got = true
				if d.Attempt != 1 {
					t.Errorf("message %d comes as attempt %d", i, d.Attempt)
				}
				check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0])
			}
		}
	}
}

// A message that no Receive asks for goes to another consumer soon.
func TestKeptMessageIsGivenBack(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _ = s.Receive(ctx, 1)
	check.NoError(t, topic.Send(t.Context(), []driver.Message{{Body: []byte("m")}})[0].Err)
	_, other := openTopicAndGroup(t, p, "g")
	ctx, cancel = context.WithTimeout(t.Context(), ackWait/2)
	defer cancel()
	got, err := other.Receive(ctx, 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
}

// A group that has the most messages in flight that it may have waits without
// an error, and goes on.
func TestGroupWithMostMessagesInFlight(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	config := s.config()
	config.MaxAckPending = 2 // set by an operator while the group is open; opening it would fail
	check.NoError(t, p.createConsumer(t.Context(), s.stream, config))
	for _, r := range topic.Send(t.Context(), make([]driver.Message, 3)) {
		check.NoError(t, r.Err)
	}
	for delayed := 0; delayed < 2; {
		got, err := s.Receive(t.Context(), 1)
		check.NoError(t, err)
		for _, d := range got {
			delayed++
			check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: d.Token, Kind: driver.Nack, Delay: 2 * pullSilence}})[0])
		}
	}
	got, err := s.Receive(t.Context(), 3)
	if err != nil || len(got) == 0 || got[0].Attempt != 2 {
		t.Errorf("a group that waits for delayed messages: %v, %v", got, err)
	}
}

// A record of a key that cannot be read holds nothing up.
func TestDamagedRecord(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, s := openTopicAndGroup(t, p, "g")
	sendKeyed(t, topic, "k", "1", "2")
	ackNext(t, s, "1")
	state := topic.current.Load()
	hash, _ := state.keyHashOf(state.subjectOf("k"))
	records := s.records().(*sharedRecords)
	found, err := records.opened(t.Context())
	check.NoError(t, err)
	do(t, found.top().store, kvdriver.Op{Kind: kvdriver.OpPut, Key: records.prefix + hash, Value: []byte("not a record")})
	got, err := s.Receive(t.Context(), 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	check.NoError(t, s.Settle(t.Context(), []driver.Settlement{{Token: got[0].Token, Kind: driver.Ack}})[0])
}
