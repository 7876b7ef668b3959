package redis_test

import (
	"context"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

const ordersStream = "fairlead:ps:{orders}:stream"

var everything = driver.SubscriptionConfig{}

func TestBroadcast(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	a, b := tt.subscribe(everything), tt.subscribe(everything)
	bodies := numbered("m%d", 100)
	tt.sendBodies(tt.topic(), bodies...)
	tt.ack(a, tt.receiveBodies(a, bodies...)...)
	tt.ack(b, tt.receiveBodies(b, bodies...)...)
	tt.wantNoDelivery(a)
}

func TestBroadcastRedelivery(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(driver.SubscriptionConfig{AckDeadline: 100 * time.Millisecond})
	tt.sendBodies(tt.topic(), "a")
	d := tt.receiveBodies(s, "a")[0]
	d.Body[0] = 'x' // the caller owns the body
	expired := tt.receiveBodies(s, "a")[0]
	tt.wantConflict(s, driver.Ack, d)
	tt.settle(s, driver.Extend, longLease, expired)
	tt.wantNoDelivery(s)
	began := time.Now()
	tt.settle(s, driver.Nack, 300*time.Millisecond, expired)
	tt.wantConflict(s, driver.Ack, expired)
	again := tt.receiveBodies(s, "a")[0]
	if time.Since(began) < 300*time.Millisecond || again.Attempt != 3 {
		t.Fatalf("attempt %d after %v", again.Attempt, time.Since(began))
	}
	tt.ack(s, again)
	tt.wantNoDelivery(s)
}

func TestBroadcastLanes(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(everything)
	tt.send(tt.topic(), append(messagesOfKey("x", 3), messagesOfKey("y", 1)...)...)
	first := tt.receiveBodies(s, "x0", "y0")
	tt.wantNoDelivery(s)
	tt.settle(s, driver.Nack, 0, first[0])
	tt.ack(s, tt.receiveBodies(s, "x0")...)
	tt.ack(s, tt.receiveBodies(s, "x1")...)
	tt.ack(s, tt.receiveBodies(s, "x2")...)
	tt.wantNoDelivery(s)
}

// wantGap fails the test unless the next call of Receive reports a gap.
func (t topicTest) wantGap(s driver.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := s.Receive(ctx, 1)
	check.Code(t, err, fairlead.Compacted)
}

func TestBroadcastGap(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	trim := func(n int64) error { return c.XTrimMaxLen(t.Context(), ordersStream, n).Err() }
	cases := map[string]struct {
		lose func(tt topicTest, sent []driver.SendResult) error
		gap  bool
		want []string
	}{
		"nothing":       {func(topicTest, []driver.SendResult) error { return nil }, false, []string{"2", "3", "4"}},
		"what was read": {func(topicTest, []driver.SendResult) error { return trim(3) }, false, []string{"2", "3", "4"}},
		"one unread":    {func(topicTest, []driver.SendResult) error { return trim(2) }, true, []string{"3", "4"}},
		"all":           {func(topicTest, []driver.SendResult) error { return trim(0) }, true, nil},
		"one in the middle": {func(_ topicTest, sent []driver.SendResult) error {
			return c.XDel(t.Context(), ordersStream, sent[3].Position).Err()
		}, true, []string{"2", "4"}},
		"the last one read": {func(_ topicTest, sent []driver.SendResult) error {
			return c.XDel(t.Context(), ordersStream, sent[1].Position).Err()
		}, false, []string{"2", "3", "4"}},
		"the topic": {func(tt topicTest, _ []driver.SendResult) error {
			return tt.p.DeleteTopic(t.Context(), tt.name)
		}, true, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			flush(t, server)
			tt := newTopicTest(t, server)
			topic, s := tt.topic(), tt.subscribe(everything)
			sent := tt.sendBodies(topic, "0", "1", "2", "3", "4")
			tt.ack(s, tt.receiveBodies(s, "0", "1")...)
			if err := tc.lose(tt, sent); err != nil {
				t.Fatal(err)
			}
			if tc.gap {
				tt.wantGap(s)
			}
			tt.ack(s, tt.receiveBodies(s, tc.want...)...)
			tt.sendBodies(topic, "5")
			tt.ack(s, tt.receiveBodies(s, "5")...)
			tt.wantNoDelivery(s)
		})
	}
}

// A broadcast that has read every message misses none, even if all are trimmed
// afterwards.
func TestBroadcastIdleWhileTrimmed(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic, s := tt.topic(), tt.subscribe(everything)
	tt.sendBodies(topic, "0")
	tt.receiveBodies(s, "0")
	tt.wantNoDelivery(s)
	if err := testbed.RedisClient(t, server).XTrimMaxLen(t.Context(), ordersStream, 0).Err(); err != nil {
		t.Fatal(err)
	}
	tt.sendBodies(topic, "1")
	tt.receiveBodies(s, "1")
}

// The server restarts with an older state than the broadcast has read.
func TestBroadcastOfARestoredServer(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	for name, later := range map[string][]string{
		"nothing since": nil, "fewer than lost": {"3"}, "as many": {"3", "4"}, "more": {"3", "4", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			flush(t, server)
			tt := newTopicTest(t, server)
			topic, s := tt.topic(), tt.subscribe(everything)
			tt.sendBodies(topic, "0")
			old, err := c.Dump(t.Context(), ordersStream).Result()
			if err != nil {
				t.Fatal(err)
			}
			tt.sendBodies(topic, "1", "2")
			tt.ack(s, tt.receiveBodies(s, "0", "1", "2")...)
			if err := c.RestoreReplace(t.Context(), ordersStream, 0, old).Err(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond) // no server restarts within the millisecond of an ID
			if later != nil {
				tt.sendBodies(topic, later...)
			}
			tt.wantGap(s)
			tt.sendBodies(topic, "last")
			tt.ack(s, tt.receiveBodies(s, append(later, "last")...)...)
			tt.wantNoDelivery(s)
		})
	}
}
