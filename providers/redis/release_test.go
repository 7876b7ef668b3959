package redis_test

import (
	"context"
	"testing"
	"time"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

// A release does not count as an attempt, and its token is spent.
func TestRelease(t *testing.T) {
	for name, config := range map[string]driver.SubscriptionConfig{"group": group, "broadcast": everything} {
		t.Run(name, func(t *testing.T) {
			tt := newTopicTest(t, testbed.Redis(t))
			s := tt.subscribe(config)
			tt.send(tt.topic(), messagesOfKey("x", 2)...)
			want := 1
			for i := range 5 {
				d := tt.receiveBodies(s, "x0")[0]
				if d.Attempt != want {
					t.Fatalf("delivery %d is attempt %d, want %d", i, d.Attempt, want)
				}
				if i == 2 {
					tt.settle(s, driver.Nack, 0, d)
					want++
					continue
				}
				tt.settle(s, driver.Release, 0, d)
				again := tt.receiveBodies(s, "x0")[0]
				tt.wantConflict(s, driver.Ack, d) // although the attempt is the same
				tt.settle(s, driver.Release, 0, again)
			}
			tt.ack(s, tt.receiveBodies(s, "x0")...)
			if d := tt.receiveBodies(s, "x1")[0]; d.Attempt != 1 {
				t.Errorf("attempt %d, want 1", d.Attempt)
			}
		})
	}
}

// What no Receive has returned does not count, whether the subscription closes or
// the lease ends.
func TestUnreturnedMessagesDoNotCount(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic, s := tt.topic(), tt.subscribe(shortLease)
	c := testbed.RedisClient(t, server)
	leased := func() bool { return c.XPending(t.Context(), ordersStream, group.Group).Val().Count == 1 }
	abandon := func(body string) { // the server leases a message for a Receive that has ended
		t.Helper()
		tt.sendBodies(topic, body)
		check.NoError(t, server.Pause(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := s.Receive(ctx, 1)
		if err == nil {
			t.Fatal("Receive returned a message of a paused server")
		}
		check.NoError(t, server.Continue(t.Context()))
		check.Eventually(t, "the lease", leased)
	}
	tt.sendBodies(topic, "warm")
	tt.ack(s, tt.receiveBodies(s, "warm")...) // there is a connection, and the server knows the script
	other := topicTest{t, openPubsub(t, server.URL()), tt.name}
	abandon("a")
	time.Sleep(2 * shortLease.AckDeadline) // the lease ends; nobody receives
	d := tt.receiveBodies(s, "a")[0]
	if d.Attempt != 1 {
		t.Errorf("attempt %d after a lease that ended unreturned, want 1", d.Attempt)
	}
	tt.ack(s, d)
	abandon("b")
	tt.close(s)
	if d := other.receiveBodies(other.subscribe(group), "b")[0]; d.Attempt != 1 {
		t.Errorf("attempt %d after Close, want 1", d.Attempt)
	}
}
