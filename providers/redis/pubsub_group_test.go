package redis_test

import (
	"context"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

var group = driver.SubscriptionConfig{Group: "billing"}

// shortLease is a group whose leases end soon.
var shortLease = driver.SubscriptionConfig{Group: "billing", AckDeadline: 100 * time.Millisecond}

func TestGroupFencing(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	slow, fast := tt.subscribe(shortLease), tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a")
	old := tt.receiveBodies(slow, "a")[0]
	again := tt.receiveBodies(fast, "a")[0]
	if old.Attempt != 1 || again.Attempt != 2 {
		t.Fatalf("attempts %d and %d, want 1 and 2", old.Attempt, again.Attempt)
	}
	for _, kind := range []driver.SettleKind{driver.Ack, driver.Nack, driver.Extend} {
		tt.wantConflict(slow, kind, old)
	}
	tt.wantConflict(slow, driver.Ack, again) // the new token, used by the old consumer
	tt.ack(fast, again)
	tt.wantConflict(fast, driver.Ack, again)
	tt.wantNoDelivery(slow)
}

func TestGroupSettleTwiceInOneCall(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a")
	d := tt.receive(s, 1)[0]
	errs := s.Settle(t.Context(), []driver.Settlement{
		{Token: d.Token, Kind: driver.Ack},
		{Token: d.Token, Kind: driver.Nack},
		{Token: "nonsense", Kind: driver.Ack},
		{Token: "1-1/99999999999999999999999", Kind: driver.Ack},
	})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	check.Code(t, errs[1], fairlead.Conflict)
	check.Code(t, errs[2], fairlead.Invalid)
	check.Code(t, errs[3], fairlead.Invalid)
	tt.wantNoDelivery(s)
}

func TestGroupNackDelay(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	a, b := tt.subscribe(group), tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a")
	d := tt.receive(a, 1)[0]
	const delay = 400 * time.Millisecond
	began := time.Now()
	tt.settle(a, driver.Nack, delay, d)
	tt.wantConflict(a, driver.Ack, d)
	again := tt.receiveBodies(b, "a")[0]
	if early := delay - time.Since(began); early > 0 {
		t.Fatalf("the message was delivered %v before the end of its delay", early)
	}
	if again.Attempt != 2 {
		t.Fatalf("attempt %d, want 2", again.Attempt)
	}
}

func TestGroupNackWakesTheOthers(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	a, b := tt.subscribe(group), tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a")
	d := tt.receive(a, 1)[0]
	tt.wantNoDelivery(b) // b has begun to wait on the server
	began := time.Now()
	tt.settle(a, driver.Nack, 0, d)
	tt.receiveBodies(b, "a")
	if took := time.Since(began); took > time.Second {
		t.Fatalf("the other consumer got the message after %v", took)
	}
}

func TestGroupExtend(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(shortLease)
	tt.sendBodies(tt.topic(), "a")
	d := tt.receive(s, 1)[0]
	tt.settle(s, driver.Extend, longLease, d)
	tt.wantNoDelivery(s) // for longer than the first lease
	tt.ack(s, d)
	tt.sendBodies(tt.topic(), "b")
	d = tt.receive(s, 1)[0]
	tt.settle(s, driver.Extend, 0, d)
	tt.receiveBodies(s, "b") // the AckDeadline was used
}

func TestGroupCloseGivesBack(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	a, b := tt.subscribe(group), tt.subscribe(group)
	bodies := numbered("m%d", 600) // more than one call can give back
	for c := range slices.Chunk(bodies, 200) {
		tt.sendBodies(tt.topic(), c...)
	}
	tt.receiveBodies(a, bodies...)
	tt.close(a)
	for _, d := range tt.receiveBodies(b, bodies...) {
		if d.Attempt != 2 {
			t.Fatalf("attempt %d, want 2", d.Attempt)
		}
	}
	_, err := a.Receive(t.Context(), 1)
	check.Code(t, err, fairlead.Closed)
	c := testbed.RedisClient(t, server)
	consumers, err := c.XInfoConsumers(t.Context(), "fairlead:ps:{orders}:stream", "billing").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, consumer := range consumers { // "waiting", and the one of b
		if consumer.Name == "waiting" && consumer.Pending != 0 || consumer.Name != "waiting" && consumer.Pending != 600 {
			t.Fatalf("consumer %q has %d pending", consumer.Name, consumer.Pending)
		}
	}
}

func TestGroupOfAConsumerThatVanished(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	s := tt.subscribe(shortLease)
	tt.sendBodies(tt.topic(), "a", "b")
	tt.receive(s, 2)
	other := topicTest{t, openPubsub(t, server.URL()), tt.name}
	other.receiveBodies(other.subscribe(group), "a", "b")
}

func TestGroupReceiveCanceled(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(group)
	for range 50 { // each ends while it waits on the server
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := s.Receive(ctx, 1)
		cancel()
		check.Code(t, err, fairlead.DeadlineExceeded)
	}
	tt.sendBodies(tt.topic(), "a")
	if d := tt.receiveBodies(s, "a")[0]; d.Attempt != 1 {
		t.Fatalf("attempt %d, want 1", d.Attempt)
	}
}

// messagesOfKey returns messages "KEY0", "KEY1"… of one ordering key.
func messagesOfKey(key string, n int) []driver.Message {
	msgs := make([]driver.Message, n)
	for i, body := range numbered(key+"%d", n) {
		msgs[i] = driver.Message{Key: key, Body: []byte(body)}
	}
	return msgs
}

func TestGroupLanes(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	a, b := tt.subscribe(group), tt.subscribe(group)
	tt.send(tt.topic(), append(messagesOfKey("x", 3), messagesOfKey("y", 1)...)...)
	first := tt.receiveBodies(a, "x0", "y0")
	tt.wantNoDelivery(b)
	tt.settle(a, driver.Nack, 0, first[0])
	again := tt.receiveBodies(b, "x0")[0]
	if again.Attempt != 2 || again.Key != "x" {
		t.Fatalf("%+v", again)
	}
	tt.wantNoDelivery(a)
	tt.ack(b, again)
	second := tt.receiveBodies(a, "x1")[0]
	if second.Attempt != 1 {
		t.Fatalf("attempt %d of a message that was parked, want 1", second.Attempt)
	}
	tt.close(a)
	tt.ack(b, tt.receiveBodies(b, "y0", "x1")...) // in the order of the leases
	tt.ack(b, tt.receiveBodies(b, "x2")...)
	tt.wantNoDelivery(b)
}

func TestGroupLaneSurvivesExpiry(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(shortLease)
	tt.send(tt.topic(), messagesOfKey("x", 2)...)
	tt.receiveBodies(s, "x0")
	tt.ack(s, tt.receiveBodies(s, "x0")...)
	tt.receiveBodies(s, "x1")
}

func TestGroupThatWasDeleted(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(group)
	tt.send(tt.topic(), messagesOfKey("x", 3)...)
	held := tt.receive(s, 1)[0]
	if err := tt.p.DeleteGroup(t.Context(), tt.name, group.Group); err != nil {
		t.Fatal(err)
	}
	_, err := s.Receive(t.Context(), 1)
	check.Code(t, err, fairlead.NotFound)
	tt.wantConflict(s, driver.Ack, held)
	tt.receiveBodies(tt.subscribe(group), "x0") // the lanes are gone as well
	if err := tt.p.DeleteGroup(t.Context(), "never", "was"); err != nil {
		t.Fatal(err)
	}
}

func TestGroupAfterDataLoss(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic, s := tt.topic(), tt.subscribe(group)
	tt.sendBodies(topic, "a", "b")
	held := tt.receive(s, 1)[0]
	flush(t, server)
	tt.wantGap(s)
	tt.sendBodies(topic, "c")
	tt.receiveBodies(s, "c")
	tt.wantConflict(s, driver.Ack, held)
}

func TestGroupThatWaitsNoticesDataLoss(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	s := tt.subscribe(group)
	tt.wantNoDelivery(s)
	flush(t, server)
	tt.wantGap(s)
}

func flush(t testing.TB, server *testbed.RedisServer) {
	t.Helper()
	if err := testbed.RedisClient(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestGroupMessageThatWasDeleted(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	s := tt.subscribe(group)
	tt.send(tt.topic(), messagesOfKey("x", 2)...)
	held := tt.receiveBodies(s, "x0")[0]
	c := testbed.RedisClient(t, server)
	if err := c.XDel(t.Context(), "fairlead:ps:{orders}:stream", held.Position).Err(); err != nil {
		t.Fatal(err)
	}
	tt.settle(s, driver.Nack, 0, held)
	tt.wantGap(s)
	tt.receiveBodies(s, "x1") // the other messages of the key are delivered
}

func TestGroupForeignEntry(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	s := tt.subscribe(group)
	c := testbed.RedisClient(t, server)
	err := c.XAdd(t.Context(), &goredis.XAddArgs{
		Stream: "fairlead:ps:{orders}:stream", Values: []any{"color", "red", "raw", "\xff"},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	d := tt.receive(s, 1)[0]
	if len(d.Body) != 0 || len(d.Metadata) != 1 || d.Metadata["color"] != "red" {
		t.Fatalf("%+v", d)
	}
	tt.ack(s, d)
}
