package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kv "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
	rpc "fairlead.dev/rpc/driver"
)

// What an operator may do to a topic, and what a group and a broadcast then
// report: Compacted once, and nothing is lost in silence afterwards.
func TestPubsubAfterOutsideHands(t *testing.T) {
	const dueKey, metaKey = "fairlead:ps:{orders}:group:billing:due", "fairlead:ps:{orders}:meta"
	type row struct {
		do        func(t *testing.T, c *goredis.Client) error
		group     string // the bodies that a group receives afterwards
		broadcast string // and a broadcast; "-" if it notices nothing
	}
	for name, r := range map[string]row{
		"unread messages are trimmed": {
			do:    func(t *testing.T, c *goredis.Client) error { return c.XTrimMaxLen(t.Context(), ordersStream, 1).Err() },
			group: "d new", broadcast: "d new",
		},
		"all messages are trimmed": {
			do:    func(t *testing.T, c *goredis.Client) error { return c.XTrimMaxLen(t.Context(), ordersStream, 0).Err() },
			group: "new", broadcast: "new",
		},
		"the last message is deleted": {
			do: func(t *testing.T, c *goredis.Client) error {
				last, err := c.XRevRangeN(t.Context(), ordersStream, "+", "-", 1).Result()
				check.NoError(t, err)
				return c.XDel(t.Context(), ordersStream, last[0].ID).Err()
			},
			group: "b c new", broadcast: "b c new",
		},
		"the stream is deleted": {
			do:    func(t *testing.T, c *goredis.Client) error { return c.Del(t.Context(), ordersStream).Err() },
			group: "new", broadcast: "new",
		},
		"the group is destroyed": {
			do: func(t *testing.T, c *goredis.Client) error {
				return c.XGroupDestroy(t.Context(), ordersStream, group.Group).Err()
			},
			group: "a b c d new", broadcast: "-",
		},
		"the leases are deleted": {
			do:    func(t *testing.T, c *goredis.Client) error { return c.Del(t.Context(), dueKey).Err() },
			group: "b c d new", broadcast: "-", // b was leased
		},
		"the meta data is deleted": {
			do:    func(t *testing.T, c *goredis.Client) error { return c.Del(t.Context(), metaKey).Err() },
			group: "b c d new", broadcast: "a b c d new",
		},
		"the database is flushed": {
			do:    func(t *testing.T, c *goredis.Client) error { return c.FlushDB(t.Context()).Err() },
			group: "new", broadcast: "new",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := testbed.Redis(t)
			c := testbed.RedisClient(t, server)
			tt := newTopicTest(t, server)
			topic, g, b := tt.topic(), tt.subscribe(group), tt.subscribe(everything)
			tt.sendBodies(topic, "a")
			tt.ack(g, tt.receiveBodies(g, "a")...)
			tt.ack(b, tt.receiveBodies(b, "a")...)
			tt.sendBodies(topic, "b", "c", "d")
			if name == "the leases are deleted" {
				tt.receiveBodies(g, "b")
			}
			check.NoError(t, r.do(t, c))
			check.Eventually(t, "a publication", func() bool {
				return topic.Send(t.Context(), []driver.Message{{Body: []byte("new")}})[0].Err == nil
			})
			wantAfterLoss(tt, g, r.group)
			if r.broadcast == "-" {
				r.broadcast = "b c d new"
				tt.receiveBodies(b, strings.Fields(r.broadcast)...)
				return
			}
			wantAfterLoss(tt, b, r.broadcast)
		})
	}
}

// wantAfterLoss fails the test unless s reports a loss and delivers the bodies,
// among them the last one.
func wantAfterLoss(tt topicTest, s driver.Subscription, bodies string) {
	tt.Helper()
	missing := map[string]bool{}
	for _, body := range strings.Fields(bodies) {
		missing[body] = true
	}
	compacted := 0
	ctx, cancel := context.WithTimeout(tt.Context(), patience)
	defer cancel()
	for compacted == 0 || len(missing) > 0 {
		ds, err := s.Receive(ctx, 1)
		if ctx.Err() != nil {
			tt.Fatalf("Compacted %d times, not delivered: %v", compacted, missing)
		}
		if err != nil {
			check.Code(tt, err, fairlead.Compacted)
			compacted++
			continue
		}
		if body := string(ds[0].Body); !strings.Contains(bodies, body) {
			tt.Errorf("%q is delivered; want %q", body, bodies)
		} else {
			delete(missing, body)
		}
		_ = settle(tt.Context(), s, driver.Ack, 0, ds...)
	}
	if compacted != 1 {
		tt.Errorf("Compacted %d times, want once", compacted)
	}
}

// A group that reads all the time is told of trimmed messages, too, and one that
// loses nothing is never told so: the provider itself trims, groups read in
// turns, messages wait in lanes, are given back and deleted after their acknowledgement.
func TestNoFalseLossOfAGroup(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	tt := newTopicTest(t, server, "retention", "1ms")
	topic := tt.topic()
	a, b := tt.subscribe(group), tt.subscribe(group)
	end := time.Now().Add(3500 * time.Millisecond) // some inspections
	for i := 0; time.Now().Before(end); i++ {
		tt.send(topic, messagesOfKey(fmt.Sprint(i), 3)...)
		for n := range 3 {
			s := []driver.Subscription{a, b}[(i+n)%2]
			d := tt.receive(s, 1)
			if n == 1 {
				tt.settle(s, driver.Nack, 0, d...)
				d = tt.receive(s, 1)
			}
			tt.ack(s, d...)
			if n == 2 {
				check.NoError(t, c.XDel(t.Context(), ordersStream, d[0].Position).Err())
			}
		}
		if i%10 == 0 {
			tt.wantNoDelivery(a)
		}
	}
}

func TestStoreAfterOutsideHands(t *testing.T) {
	for name, do := range map[string]func(*testing.T, *goredis.Client, kv.Provider) error{
		"the log is deleted": func(t *testing.T, c *goredis.Client, _ kv.Provider) error {
			return c.Del(t.Context(), "fairlead:kv:{s}:log").Err()
		},
		"the log is trimmed": func(t *testing.T, c *goredis.Client, _ kv.Provider) error {
			return c.XTrimMaxLen(t.Context(), "fairlead:kv:{s}:log", 0).Err()
		},
		"the database is flushed": func(t *testing.T, c *goredis.Client, _ kv.Provider) error { return c.FlushDB(t.Context()).Err() },
		"the store is deleted and made again": func(t *testing.T, _ *goredis.Client, p kv.Provider) error {
			check.NoError(t, p.DeleteStore(t.Context(), "s"))
			_, err := p.OpenStore(t.Context(), kv.StoreConfig{Name: "s"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := testbed.Redis(t)
			p := open(t, server.URL())
			s := openStore(t, p, "s")
			w := watch(t, s, kv.WatchRequest{})
			mustPut(t, s, "k", "1", 0)
			nextEvents(t, w, 1)
			check.NoError(t, do(t, testbed.RedisClient(t, server), p.(kv.Provider)))
			mustPut(t, s, "k", "2", 0)
			_, err := w.Next(t.Context())
			check.Code(t, err, fairlead.Compacted)
			again := watch(t, s, kv.WatchRequest{})
			mustPut(t, s, "k", "3", 0)
			if got := formatEvents(nextEvents(t, again, 1)); got != "Pk=3" {
				t.Errorf("events %q", got)
			}
		})
	}
}

// What other programs add to the keys of a topic, a store or a service holds
// nothing up.
func TestForeignEntriesHoldNothingUp(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	tt := newTopicTest(t, server)
	topic, g, b := tt.topic(), tt.subscribe(group), tt.subscribe(everything)
	for _, values := range [][]any{
		{"k", "x"}, {"k", "x", "b", "1"}, {"x", "1", "k", "a b"}, {"k", "\xff\x00 /\n"}, {"k", ""}, {"k", "1", "k", "2"}, {"b", "1", "m", "9:n"}, {"", ""},
	} {
		check.NoError(t, c.XAdd(t.Context(), &goredis.XAddArgs{Stream: ordersStream, Values: values}).Err())
	}
	check.NoError(t, c.ZAdd(t.Context(), "fairlead:ps:{orders}:group:billing:due", goredis.Z{Member: "foreign"}).Err())
	tt.send(topic, messagesOfKey("x", 1)...)
	for _, s := range []driver.Subscription{g, b} {
		tt.settle(s, driver.Nack, 0, tt.receive(s, 1)...) // what comes again has the foreign lease before it
		for range 9 {
			tt.ack(s, tt.receive(s, 1)...)
		}
		tt.wantNoDelivery(s)
	}
	check.NoError(t, c.ZAdd(t.Context(), "fairlead:ps:{orders}:group:billing:due", goredis.Z{Member: "foreign"}).Err())
	check.NoError(t, tt.p.DeleteGroup(t.Context(), tt.name, group.Group))

	p := tt.p.(fairlead.Provider)
	s := openStore(t, p, "s")
	w := watch(t, s, kv.WatchRequest{})
	for _, values := range [][]any{{"x", "1"}, {"N", "", "Q", "1"}, {"N", "", "", "1"}} {
		check.NoError(t, c.XAdd(t.Context(), &goredis.XAddArgs{Stream: "fairlead:kv:{s}:log", Values: values}).Err())
	}
	mustPut(t, s, "k", "1", 0)
	if got := formatEvents(nextEvents(t, w, 1)); got != "Pk=1" {
		t.Errorf("events %q", got)
	}

	check.NoError(t, c.ZAdd(t.Context(), "fairlead:rpc:{echo}:leases", goredis.Z{Score: 1e15, Member: "foreign"}).Err())
	d := p.(rpc.Directory)
	_, err := d.Register(t.Context(), rpc.RegisterConfig{Service: "echo", Endpoint: rpc.Endpoint{Address: "127.0.0.1:1"}})
	check.NoError(t, err)
	e, err := d.WatchEndpoints(t.Context(), rpc.WatchConfig{Service: "echo"})
	check.NoError(t, err)
	nextEndpoints(t, e, 1)
}
