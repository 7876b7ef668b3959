package redis_test

import (
	"context"
	"fmt"
	"strconv"
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
// report: Compacted once if messages are lost or delivered again although they may
// be acknowledged. Nothing is lost in silence.
func TestPubsubAfterOutsideHands(t *testing.T) {
	const dueKey, metaKey = "fairlead:ps:{orders}:group:billing:due", "fairlead:ps:{orders}:meta"
	const laneKey = "fairlead:ps:{orders}:group:billing:lane:k"
	type row struct {
		key       string                                    // the ordering key of all messages but the first
		prepare   func(tt topicTest, g driver.Subscription) // what the group has done before, if not nil
		do        func(t *testing.T, c *goredis.Client) error
		unharmed  bool   // the group reports nothing
		group     string // the bodies that a group receives afterwards
		broadcast string // and a broadcast; "-" if it notices nothing
	}
	lease := func(tt topicTest, g driver.Subscription) { tt.receiveBodies(g, "b") }
	postpone := func(tt topicTest, g driver.Subscription) { // b; the others of its key are parked
		ds, err := g.Receive(tt.Context(), 10)
		check.NoError(tt, err)
		tt.settle(g, driver.Nack, 500*time.Millisecond, ds...)
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
			prepare: lease,
			do:      func(t *testing.T, c *goredis.Client) error { return c.Del(t.Context(), dueKey).Err() },
			group:   "b c d new", broadcast: "-",
		},
		"the consumer of delayed messages is deleted": {
			prepare: postpone, do: deleteWaitingConsumer, unharmed: true,
			group: "b c d new", broadcast: "-",
		},
		"the consumer of parked messages is deleted": {
			key: "k", prepare: postpone, do: deleteWaitingConsumer, unharmed: true,
			group: "b c d new", broadcast: "-",
		},
		"messages are acknowledged by other means": {
			key: "k", prepare: postpone, do: ackAll, unharmed: true,
			group: "b c d new", broadcast: "-",
		},
		"a lane is deleted": {
			key: "k", prepare: postpone,
			do:       func(t *testing.T, c *goredis.Client) error { return c.Del(t.Context(), laneKey).Err() },
			unharmed: true,
			group:    "b c d new", broadcast: "-",
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
			for _, body := range []string{"b", "c", "d"} {
				tt.send(topic, driver.Message{Key: r.key, Body: []byte(body)})
			}
			if r.prepare != nil {
				r.prepare(tt, g)
			}
			check.NoError(t, r.do(t, c))
			check.Eventually(t, "a publication", func() bool {
				return topic.Send(t.Context(), []driver.Message{{Key: r.key, Body: []byte("new")}})[0].Err == nil
			})
			if r.unharmed {
				wantBodies(tt, g, r.group, 0)
			} else {
				wantBodies(tt, g, r.group, 1)
			}
			if r.broadcast == "-" {
				wantBodies(tt, b, "b c d new", 0)
				return
			}
			wantBodies(tt, b, r.broadcast, 1)
		})
	}
}

func deleteWaitingConsumer(t *testing.T, c *goredis.Client) error {
	return c.XGroupDelConsumer(t.Context(), ordersStream, group.Group, "waiting").Err()
}

func ackAll(t *testing.T, c *goredis.Client) error {
	all, err := c.XRange(t.Context(), ordersStream, "-", "+").Result()
	check.NoError(t, err)
	for _, m := range all {
		check.NoError(t, c.XAck(t.Context(), ordersStream, group.Group, m.ID).Err())
	}
	return nil
}

// wantBodies fails the test unless s delivers the bodies and reports this number of
// losses.
func wantBodies(tt topicTest, s driver.Subscription, bodies string, losses int) {
	tt.Helper()
	missing := map[string]bool{}
	for _, body := range strings.Fields(bodies) {
		missing[body] = true
	}
	compacted := 0
	ctx, cancel := context.WithTimeout(tt.Context(), patience)
	defer cancel()
	for compacted < losses || len(missing) > 0 {
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
	if compacted != losses {
		tt.Errorf("Compacted %d times, want %d", compacted, losses)
	}
}

// A lane that was deleted and that later messages have begun again gets back its
// parked messages, in order, after the one that is leased.
func TestGroupLaneThatWasDeleted(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic, g := tt.topic(), tt.subscribe(group)
	send := func(bodies ...string) {
		for _, body := range bodies {
			tt.send(topic, driver.Message{Key: "k", Body: []byte(body)})
		}
	}
	send("a", "b", "c")
	a, err := g.Receive(t.Context(), 10)
	check.NoError(t, err)
	check.NoError(t, testbed.RedisClient(t, server).Del(t.Context(), "fairlead:ps:{orders}:group:billing:lane:k").Err())
	send("d")
	d := tt.receiveBodies(g, "d")
	send("e")
	tt.ack(g, a...)
	tt.wantNoDelivery(g) // d is leased
	tt.ack(g, d...)
	for _, body := range []string{"b", "c", "e"} {
		tt.ack(g, tt.receiveBodies(g, body)...)
	}
	tt.wantNoDelivery(g)
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

// Keys of a group that have a value of another type, and garbage in them, do not stop
// the group: it says so, and every message comes.
func TestGroupKeysWithForeignValues(t *testing.T) {
	const base = "fairlead:ps:{orders}:group:billing:"
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	for name, do := range map[string]func(ctx context.Context) error{
		"due":      func(ctx context.Context) error { return c.Set(ctx, base+"due", "x", 0).Err() },
		"parked":   func(ctx context.Context) error { return c.Set(ctx, base+"parked", "x", 0).Err() },
		"released": func(ctx context.Context) error { return c.Set(ctx, base+"released", "x", 0).Err() },
		"wake":     func(ctx context.Context) error { return c.Set(ctx, base+"wake", "x", 0).Err() },
		"lane":     func(ctx context.Context) error { return c.Set(ctx, base+"lane:k", "x", 0).Err() },
		"in lane":  func(ctx context.Context) error { return c.LPush(ctx, base+"lane:k", "x").Err() },
		"in meta": func(ctx context.Context) error {
			return c.HSet(ctx, "fairlead:ps:{orders}:meta", "inspected:billing", "x", "read:billing", "x").Err()
		},
		"in parked": func(ctx context.Context) error { return c.HSet(ctx, base+"parked", "x", "k").Err() },
	} {
		t.Run(name, func(t *testing.T) {
			check.NoError(t, c.FlushDB(t.Context()).Err())
			tt := newTopicTest(t, server)
			topic, g := tt.topic(), tt.subscribe(group)
			tt.send(topic, messagesOfKey("k", 3)...)
			first, err := g.Receive(t.Context(), 1)
			check.NoError(t, err)
			check.NoError(t, do(t.Context()))
			another := tt.subscribe(group) // its first Receive looks at all the keys
			tt.send(topic, append(messagesOfKey("k", 1), messagesOfKey("other", 1)...)...)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			came, told := map[string]bool{first[0].Position: true}, false
			wrongType := name == "due" || name == "parked" || name == "released" || name == "wake"
			for len(came) < 5 || wrongType && !told {
				ds, err := another.Receive(ctx, 1)
				if ctx.Err() != nil {
					t.Fatalf("%d of 5 messages came; the last error is %v", len(came), err)
				}
				if err != nil && !wrongType {
					t.Error(err)
				}
				told = told || strings.Contains(fmt.Sprint(err), strconv.Quote(base+name))
				for _, d := range ds {
					came[d.Position] = true
					if d.Key == "other" { // so the new message with the key k was read, too
						_ = settle(ctx, g, driver.Ack, 0, first...) // it may come again
					}
				}
				_ = settle(ctx, another, driver.Ack, 0, ds...)
			}
		})
	}
	t.Run("meta", func(t *testing.T) {
		check.NoError(t, c.FlushDB(t.Context()).Err())
		tt := newTopicTest(t, server)
		topic, g := tt.topic(), tt.subscribe(group)
		check.NoError(t, c.Rename(t.Context(), "fairlead:ps:{orders}:meta", "{orders}aside").Err())
		check.NoError(t, c.Set(t.Context(), "fairlead:ps:{orders}:meta", "x", 0).Err())
		_, err := g.Receive(t.Context(), 1)
		check.Code(t, err, fairlead.Internal)
		if !strings.Contains(err.Error(), "redis-cli DEL 'fairlead:ps:{orders}:meta'") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		check.NoError(t, c.Rename(t.Context(), "{orders}aside", "fairlead:ps:{orders}:meta").Err())
		tt.send(topic, messagesOfKey("k", 1)...)
		tt.ack(g, tt.receive(g, 1)...)
	})
}

// A password that the server demands from now on is PermissionDenied from every call.
func TestPasswordDemandedWhileConnected(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	tt := newTopicTest(t, server)
	g, b := tt.subscribe(group), tt.subscribe(everything)
	check.NoError(t, c.ConfigSet(t.Context(), "requirepass", "secret").Err())
	check.NoError(t, c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	for what, s := range map[string]driver.Subscription{"group": g, "broadcast": b} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var err error
		for err == nil || fairlead.CodeOf(err) == fairlead.Unavailable { // of the connections that were cut
			_, err = s.Receive(ctx, 1)
		}
		cancel()
		if fairlead.CodeOf(err) != fairlead.PermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	check.NoError(t, c.ConfigSet(t.Context(), "requirepass", "").Err())
}
