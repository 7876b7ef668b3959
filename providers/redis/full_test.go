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

// fill makes the server refuse every command that may need memory.
func fill(t *testing.T, c *goredis.Client) {
	t.Helper()
	configSet(t, c, "maxmemory-policy", "noeviction", "maxmemory", "1")
}

// wantFull fails the test unless err says that the server is full.
func wantFull(t *testing.T, what string, err error) {
	t.Helper()
	if fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "full") {
		t.Errorf("%s on a full server: %v; want Unavailable, \"full\"", what, err)
	}
}

// What ends something, or takes a message, works on a full server. What stores
// something is refused.
func TestPubsubOnAFullServer(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server, "retention", "1ms")
	topic, s, other, all := tt.topic(), tt.subscribe(group), tt.subscribe(driver.SubscriptionConfig{Group: "other"}), tt.subscribe(everything)
	tt.send(topic, driver.Message{Key: "k", Body: []byte("a")}, driver.Message{Key: "k", Body: []byte("b")},
		driver.Message{Body: []byte("c")}, driver.Message{Body: []byte("d")})
	tt.receiveBodies(other, "a")
	fill(t, testbed.RedisClient(t, server))

	got := tt.receiveBodies(s, "a", "c", "d")
	tt.settle(s, driver.Extend, longLease, got...)
	tt.settle(s, driver.Nack, 0, got[0])
	again := tt.receiveBodies(s, "a")
	tt.ack(s, again...)
	tt.ack(s, tt.receiveBodies(s, "b")...)
	tt.settle(s, driver.Nack, time.Millisecond, got[1])
	tt.ack(s, tt.receiveBodies(s, "c")...)
	tt.close(s) // gives d back
	s = tt.subscribe(group)
	tt.ack(s, tt.receiveBodies(s, "d")...)
	tt.ack(all, tt.receive(all, 1)...)
	tt.close(other) // gives a back

	wantFull(t, "Send", topic.Send(t.Context(), make([]driver.Message, 1))[0].Err)
	wantFull(t, "Send of three", topic.Send(t.Context(), make([]driver.Message, 3))[2].Err)
	wantFull(t, "Send with an ID", topic.Send(t.Context(), []driver.Message{{ID: "x"}})[0].Err)
	_, err := tt.p.OpenTopic(t.Context(), driver.TopicConfig{Name: "new"})
	wantFull(t, "OpenTopic of a new topic", err)
	if names, err := tt.p.Topics(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("topics %q, %v", names, err)
	}
	for _, err := range []error{
		tt.p.DeleteGroup(t.Context(), tt.name, "other"), s.Close(t.Context()), topic.Close(t.Context()),
		tt.p.DeleteTopic(t.Context(), tt.name),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

// A topic fills the server up, is drained, and takes messages again.
func TestPubsubFillsAServerAndDrainsIt(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	tt := newTopicTest(t, server, "retention", "1ms")
	topic, s := tt.topic(), tt.subscribe(group)
	used, err := c.InfoMap(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	if _, err := fmt.Sscan(used["Memory"]["used_memory"], &bytes); err != nil {
		t.Fatal(err)
	}
	configSet(t, c, "maxmemory-policy", "noeviction", "maxmemory", fmt.Sprint(bytes+8<<20))
	body := []byte(strings.Repeat("x", 64<<10))
	stored := 0
	for ; stored < 1000; stored++ {
		if err := topic.Send(t.Context(), []driver.Message{{Body: body}})[0].Err; err != nil {
			wantFull(t, "Send", err)
			break
		}
	}
	if stored == 0 || stored == 1000 {
		t.Fatalf("%d messages were stored", stored)
	}
	for range stored {
		tt.ack(s, tt.receive(s, 1)...)
	}
	// Each Send also drops what need not be kept, at most once a second.
	check.Eventually(t, "room for a message", func() bool {
		return topic.Send(t.Context(), []driver.Message{{Body: body}})[0].Err == nil
	})
	tt.ack(s, tt.receive(s, 1)...)
	if n := c.XLen(t.Context(), ordersStream).Val(); n >= int64(stored) {
		t.Errorf("%d of %d messages are kept", n, stored)
	}
}

func TestStoreOnAFullServer(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL()).(kv.Provider)
	s := openStore(t, p.(fairlead.Provider), "full")
	for _, k := range []string{"a", "b", "c", "d"} {
		mustPut(t, s, k, "1", 0)
	}
	rev := mustPut(t, s, "cas", "1", time.Hour)
	w := watch(t, s, kv.WatchRequest{})
	fill(t, testbed.RedisClient(t, server))

	wantFull(t, "Put", doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "a"}).Err)
	wantFull(t, "Create", doOne(t, s, kv.Op{Kind: kv.OpCreate, Key: "new"}).Err)
	wantFull(t, "CAS", doOne(t, s, kv.Op{Kind: kv.OpCAS, Key: "cas", Revision: rev}).Err)
	_, err := s.Txn(t.Context(), kv.Txn{Writes: []kv.Op{{Kind: kv.OpDelete, Key: "a"}, {Kind: kv.OpPut, Key: "b"}}})
	wantFull(t, "Txn", err)
	_, err = p.OpenStore(t.Context(), kv.StoreConfig{Name: "new"})
	wantFull(t, "OpenStore of a new store", err)
	if names, err := p.Stores(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("stores %q, %v", names, err)
	}

	s = openStore(t, p.(fairlead.Provider), "full")
	wantValue(t, s, "a", "1")
	if page, err := s.List(t.Context(), kv.ListRequest{Limit: 10}); err != nil || len(page.Entries) != 5 {
		t.Errorf("page %+v, %v", page, err)
	}
	for _, op := range []kv.Op{{Kind: kv.OpDelete, Key: "a"}, {Kind: kv.OpDeleteIf, Key: "cas", Revision: rev}} {
		if err := doOne(t, s, op).Err; err != nil {
			t.Errorf("delete of %s: %v", op.Key, err)
		}
	}
	if _, err := s.Txn(t.Context(), kv.Txn{Writes: []kv.Op{{Kind: kv.OpDelete, Key: "b"}}}); err != nil {
		t.Error(err)
	}
	if got := formatEvents(nextEvents(t, w, 3)); got != "Da= Dcas= Db=" {
		t.Errorf("events %q", got)
	}
	if err := p.DeleteStore(t.Context(), "full"); err != nil {
		t.Error(err)
	}
}

// Every operation of a call to a full server has the result that it has had: what is
// refused changed nothing, and what is deleted is gone.
func TestMixedWritesOnAFullServer(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	s := openStore(t, open(t, server.URL()), "mixed")
	// p puts a small value, P one of which two do not fit into a script call, c
	// creates a key that exists, d deletes one, x deletes one that does not exist.
	for _, kinds := range []string{"pd", "dp", "ppd", "pdp", "dd", "xp", "xpd", "cpd", "pcd", "PdPd", "PPdPc", "dPPd", "PPPPd"} {
		t.Run(kinds, func(t *testing.T) {
			configSet(t, c, "maxmemory", "0")
			ops := make([]kv.Op, len(kinds))
			for i, kind := range kinds {
				op := kv.Op{Kind: kv.OpPut, Key: fmt.Sprint(kinds, i), Value: []byte("new")}
				switch kind {
				case 'P':
					op.Value = make([]byte, 5<<20)
				case 'c':
					mustPut(t, s, op.Key, "old", 0)
					op.Kind = kv.OpCreate
				case 'd':
					mustPut(t, s, op.Key, "old", 0)
					op.Kind, op.Value = kv.OpDelete, nil
				case 'x':
					op.Kind, op.Value = kv.OpDelete, nil
				}
				ops[i] = op
			}
			fill(t, c)
			results := s.Do(t.Context(), ops)
			for i, kind := range kinds {
				what, err := fmt.Sprintf("operation %d of %s", i, kinds), results[i].Err
				got := doOne(t, s, kv.Op{Kind: kv.OpGet, Key: ops[i].Key})
				exists := fairlead.CodeOf(got.Err) != fairlead.NotFound
				switch {
				case kind == 'c':
					check.Code(t, err, fairlead.Conflict)
				case ops[i].Kind == kv.OpDelete:
					if err != nil || exists {
						t.Errorf("%s: %v; exists: %v", what, err, exists)
					}
				case err != nil:
					wantFull(t, what, err)
					if exists {
						t.Errorf("%s was refused, and is applied", what)
					}
				case !exists || got.Revision != results[i].Revision:
					t.Errorf("%s has revision %s, and the key %s, %v", what, results[i].Revision, got.Revision, got.Err)
				}
			}
		})
	}
}

// A registration is kept, and ends, on a full server.
func TestRegistrationOnAFullServer(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL()+"?rpc-lease=1s").(rpc.Directory)
	r, err := p.Register(t.Context(), rpc.RegisterConfig{Service: "echo", Endpoint: rpc.Endpoint{Address: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, c)
	const leases = "fairlead:rpc:{echo}:leases"
	first := c.ZRangeWithScores(t.Context(), leases, 0, 0).Val()[0].Score
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- r.Keep(ctx) }()
	check.Eventually(t, "a renewal", func() bool {
		l := c.ZRangeWithScores(t.Context(), leases, 0, 0).Val()
		return len(l) == 1 && l[0].Score > first
	})
	cancel()
	check.Code(t, <-kept, fairlead.Canceled)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.ZCard(t.Context(), leases).Val(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}
