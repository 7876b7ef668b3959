package redis_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kv "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
	rpc "fairlead.dev/rpc/driver"
)

// wantRefused fails the test unless err is Unavailable and has all the words: the
// server has refused what was sent.
func wantRefused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	check.Code(t, err, fairlead.Unavailable)
	for _, w := range words {
		if !strings.Contains(fmt.Sprint(err), w) {
			t.Errorf("%s: %v; want the words %q", what, err, w)
		}
	}
}

// writeEach calls report with the result of each kind of write.
func writeEach(t *testing.T, p fairlead.Provider, s kv.Store, topic driver.Topic, r driver.Subscription, d driver.Delivery, report func(what string, err error)) {
	t.Helper()
	ctx := t.Context()
	report("Put", doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "k", Value: []byte("2")}).Err)
	report("Put with a TTL", doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "ttl", TTL: time.Hour}).Err)
	report("Delete", doOne(t, s, kv.Op{Kind: kv.OpDelete, Key: "k"}).Err)
	_, err := s.Txn(ctx, kv.Txn{Writes: []kv.Op{{Kind: kv.OpPut, Key: "k"}, {Kind: kv.OpPut, Key: "l"}}})
	report("Txn", err)
	report("Send", topic.Send(ctx, make([]driver.Message, 1))[0].Err)
	report("Send of three", topic.Send(ctx, make([]driver.Message, 3))[2].Err)
	report("Send with an ID", topic.Send(ctx, []driver.Message{{ID: "x"}})[0].Err)
	report("Ack", r.Settle(ctx, []driver.Settlement{{Token: d.Token, Kind: driver.Ack}})[0])
	reg, err := p.(rpc.Directory).Register(ctx, rpc.RegisterConfig{Service: "echo", Endpoint: rpc.Endpoint{Address: "127.0.0.1:1"}})
	report("Register", err)
	if err == nil {
		check.NoError(t, reg.Close(ctx))
	}
}

// While snapshots fail, the server refuses every write, and says so. Nothing of it
// is an unknown outcome.
func TestWritesWhileSnapshotsFail(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("save 3600 1000000", "stop-writes-on-bgsave-error yes"))
	c := testbed.RedisClient(t, server)
	tt := newTopicTest(t, server)
	p := tt.p.(fairlead.Provider)
	s, topic, r := openStore(t, p, "s"), tt.topic(), tt.subscribe(group)
	mustPut(t, s, "k", "1", 0)
	tt.sendBodies(topic, "a")
	d := tt.receiveBodies(r, "a")[0]
	check.NoError(t, os.Mkdir(filepath.Join(server.Dir(), "dump.rdb"), 0o700)) // a snapshot cannot replace it
	check.NoError(t, c.BgSave(t.Context()).Err())
	check.Eventually(t, "the failure of the snapshot", func() bool { return infoHas(t, c, "rdb_last_bgsave_status:err") })

	writeEach(t, p, s, topic, r, d, func(what string, err error) {
		wantRefused(t, what, err, "MISCONF", "stop-writes-on-bgsave-error", "full")
	})
	wantValue(t, s, "k", "1")
	if got := lackOf(t, open(t, server.URL()), fairlead.DurableFsync); got != "" {
		t.Errorf("durability does not depend on snapshots: %s", got)
	}
	configSet(t, c, "stop-writes-on-bgsave-error", "no")
	writeEach(t, p, s, topic, r, d, func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// replaceAOF makes the server append to /dev/full, which refuses every byte.
func replaceAOF(t *testing.T, server *testbed.RedisServer) {
	t.Helper()
	check.NoError(t, server.Stop(t.Context()))
	files, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	check.NoError(t, os.Remove(files[0]))
	check.NoError(t, os.Symlink("/dev/full", files[0]))
	check.NoError(t, server.Start(t.Context()))
}

// When the append-only file cannot be written, a server with appendfsync everysec
// refuses writes.
func TestWritesWhileTheAppendOnlyFileFails(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("appendfsync everysec"))
	replaceAOF(t, server)
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL()+"?probe-interval=50ms")
	check.NoError(t, c.Set(t.Context(), "x", "1", 0).Err()) // the first write finds it out
	check.Eventually(t, "the failure of a write", func() bool { return infoHas(t, c, "aof_last_write_status:err") })
	_, err := p.(kv.Provider).OpenStore(t.Context(), kv.StoreConfig{Name: "s"})
	wantRefused(t, "OpenStore", err, "MISCONF", "No space left", "full")
	_, err = p.(driver.Provider).OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	wantRefused(t, "OpenTopic", err, "MISCONF", "No space left", "full")
	check.Eventually(t, "the reason in the description", func() bool {
		return strings.Contains(lackOf(t, p, fairlead.DurableFsync), "the last write to the append-only file failed")
	})
}

// With appendfsync always, the server ends instead. What it was writing was not
// acknowledged.
func TestTheAppendOnlyFileFailsWithAlways(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL())
	s := openStore(t, p, "s")
	mustPut(t, s, "k", "1", 0)
	replaceAOF(t, server)
	check.Eventually(t, "the end of the server", func() bool {
		if err := doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "k", Value: []byte("2")}).Err; err == nil {
			t.Fatal("acknowledged, and on no disk")
		}
		return !server.Running()
	})
}

// A replica that has lost its primary answers nothing with replica-serve-stale-data
// no, and old values with yes.
func TestReplicaWithoutItsPrimary(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL()+"?probe-interval=50ms")
	s := openStore(t, p, "s")
	mustPut(t, s, "k", "1", 0)
	check.NoError(t, c.ReplicaOf(t.Context(), "127.0.0.1", fmt.Sprint(testbed.Port(t))).Err())
	check.Eventually(t, "the loss of the claim", func() bool {
		return strings.Contains(lackOf(t, p, kv.ClaimLinearizableRead), "replica")
	})
	wantValue(t, s, "k", "1")
	wantRefused(t, "Put", doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "k"}).Err, "replica")
	configSet(t, c, "replica-serve-stale-data", "no")
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	r := s.Do(short, []kv.Op{{Kind: kv.OpGet, Key: "k"}})[0]
	wantRefused(t, "Get", r.Err, "the replica has lost its primary")
	wantRefused(t, "Put", doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "k"}).Err)
}

// The settings of a cluster that serves a part of its slots take no claim away, and
// what is served is right.
func TestClusterThatLacksANode(t *testing.T) {
	c := testbed.Cluster(t, false, testbed.RedisConf("cluster-require-full-coverage no", "cluster-allow-reads-when-down yes", "cluster-replica-validity-factor 0"))
	p := open(t, "redis://"+strings.Join(c.Addrs(), ","))
	if got := lackOf(t, p, kv.ClaimLinearizableRead); !strings.Contains(got, "cluster") {
		t.Errorf("LinearizableRead: %q", got)
	}
	d, err := p.Describe(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(d.Notes), "a failover may lose acknowledged writes") {
		t.Errorf("notes %q, %v", d.Notes, err)
	}
	gone, stores := c.Nodes[2], map[bool]kv.Store{}
	for i := 0; len(stores) < 2; i++ { // one on the node that ends, one on another
		name := fmt.Sprint("s", i)
		at, err := c.PrimaryOf(t.Context(), "{"+name+"}")
		check.NoError(t, err)
		if stores[at == gone] == nil {
			stores[at == gone] = openStore(t, p, name)
			mustPut(t, stores[at == gone], "k", "1", 0)
		}
	}
	check.NoError(t, gone.Kill(t.Context()))
	check.Eventually(t, "the cluster to notice", func() bool {
		return !strings.Contains(testbed.RedisClient(t, c.Nodes[0]).ClusterInfo(t.Context()).Val(), "cluster_slots_fail:0")
	})
	wantValue(t, stores[false], "k", "1")
	mustPut(t, stores[false], "k", "2", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, op := range []kv.Op{{Kind: kv.OpPut, Key: "k"}, {Kind: kv.OpGet, Key: "k"}} {
		check.Code(t, stores[true].Do(ctx, []kv.Op{op})[0].Err, fairlead.Unavailable)
	}
}

// Settings below which a large write breaks its connection are in the notes.
func TestSmallQueryBufferIsNoted(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("client-query-buffer-limit 8mb"))
	for _, set := range []string{"", "64mb"} {
		if set != "" {
			configSet(t, testbed.RedisClient(t, server), "client-query-buffer-limit", set)
		}
		d, err := open(t, server.URL()).Describe(t.Context())
		if noted := strings.Contains(fmt.Sprint(d.Notes), "client-query-buffer-limit"); err != nil || noted != (set == "") {
			t.Errorf("notes %q, %v", d.Notes, err)
		}
	}
}
