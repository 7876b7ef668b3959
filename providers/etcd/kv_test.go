package etcd_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers/etcd"
)

func put(t testing.TB, s driver.Store, key, value string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	return s.Do(ctx, []driver.Op{{Kind: driver.OpPut, Key: key, Value: []byte(value)}})[0].Err
}

func watch(t testing.TB, s driver.Store, after driver.Revision) driver.Watcher {
	t.Helper()
	w, err := s.Watch(t.Context(), driver.WatchRequest{After: after})
	check.NoError(t, err)
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

// next returns the next events. It retries while the server is unavailable.
func next(t testing.TB, w driver.Watcher) []driver.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if err == nil {
			return e
		}
		if fairlead.CodeOf(err) != fairlead.Unavailable {
			t.Fatal(err)
		}
	}
}

// TestEndedKeysOfNewLeader: a restart starts all leases again. That does not hold
// up operations that need a key to be absent.
func TestEndedKeysOfNewLeader(t *testing.T) {
	ctx := t.Context()
	server := testbed.Etcd(t)
	s := openStore(t, open(t, server.URL()), "s")
	const ttl = 20 * time.Second
	ended := time.Now().Add(2 * time.Second)
	old := mustPut(t, s, "0", "v", 0)
	for _, key := range []string{"create", "txn", "get", "list", "many"} {
		mustPut(t, s, key, "old", ttl)
	}
	// This has the effect of a new leader after 18 seconds: the time to live ends, and
	// the lease continues.
	shorten(t, server, s, ended)
	time.Sleep(time.Until(ended.Add(600 * time.Millisecond)))
	if r := one(t, s, driver.Op{Kind: driver.OpCreate, Key: "create", Value: []byte("new")}); r.Err != nil {
		t.Error(r.Err)
	}
	wantValue(t, s, "create", "new")
	_, err := s.Txn(ctx, driver.Txn{
		Conditions: []driver.Condition{{Key: "txn"}, {Key: "0", Revision: old}},
		Writes:     []driver.Op{{Kind: driver.OpPut, Key: "txn", Value: []byte("new")}},
	})
	check.NoError(t, err)
	wantValue(t, s, "txn", "new")
	w := watch(t, s, "")
	check.Code(t, one(t, s, driver.Op{Kind: driver.OpGet, Key: "get"}).Err, fairlead.NotFound)
	if e := next(t, w); e[0].Kind != driver.DeleteEvent || e[0].Key != "get" {
		t.Errorf("the event is %+v", e[0])
	}
	page, err := s.List(ctx, driver.ListRequest{Limit: 100})
	check.NoError(t, err)
	var listed []string
	for _, e := range page.Entries {
		listed = append(listed, e.Key)
	}
	if got := fmt.Sprint(listed); got != "[0 create txn]" {
		t.Errorf("the listing is %s", got)
	}
}

// shorten sets the end of all times to live in the store.
func shorten(t *testing.T, server *testbed.EtcdServer, s driver.Store, ended time.Time) {
	t.Helper()
	c, err := server.Client()
	check.NoError(t, err)
	defer c.Close()
	keys, err := c.Get(t.Context(), "fairlead/kv/s/", clientv3.WithPrefix())
	check.NoError(t, err)
	for _, kv := range keys.Kvs {
		if kv.Lease == 0 {
			continue
		}
		head := make([]byte, 8)
		for i, ms := 7, ended.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
			head[i] = byte(ms)
		}
		_, err := c.Put(t.Context(), string(kv.Key), string(head)+string(kv.Value[8:]), clientv3.WithIgnoreLease())
		check.NoError(t, err)
	}
}

// TestUnusedLeasesAreRevoked: a refused write leaves no lease, and neither does a key that
// is overwritten or deleted. A lease that another key has stays.
func TestUnusedLeasesAreRevoked(t *testing.T) {
	server := testbed.Etcd(t)
	s := openStore(t, open(t, server.URL()), "s")
	mustPut(t, s, "k", "v", 0)
	for range 20 {
		r := one(t, s, driver.Op{Kind: driver.OpCreate, Key: "k", TTL: time.Hour})
		check.Code(t, r.Err, fairlead.Conflict)
		_, err := s.Txn(t.Context(), driver.Txn{
			Conditions: []driver.Condition{{Key: "k"}},
			Writes:     []driver.Op{{Kind: driver.OpPut, Key: "k", TTL: time.Hour}},
		})
		check.Code(t, err, fairlead.Conflict)
	}
	c, err := server.Client()
	check.NoError(t, err)
	defer c.Close()
	left := func(n int) {
		t.Helper()
		check.Eventually(t, fmt.Sprintf("%d leases are left", n), func() bool {
			l, err := c.Leases(t.Context())
			return err == nil && len(l.Leases) == n
		})
	}
	left(0)
	_, err = s.Txn(t.Context(), driver.Txn{Writes: []driver.Op{ // with one lease
		{Kind: driver.OpPut, Key: "a", TTL: time.Hour}, {Kind: driver.OpPut, Key: "b", TTL: time.Hour},
	}})
	check.NoError(t, err)
	for range 20 {
		mustPut(t, s, "a", "v", time.Hour)
		rev := mustPut(t, s, "lock", "v", time.Hour)
		check.NoError(t, one(t, s, driver.Op{Kind: driver.OpDeleteIf, Key: "lock", Revision: rev}).Err)
		mustPut(t, s, "d", "v", time.Hour)
		check.NoError(t, one(t, s, driver.Op{Kind: driver.OpDelete, Key: "d"}).Err)
	}
	left(2) // of a and b
	check.NoError(t, one(t, s, driver.Op{Kind: driver.OpGet, Key: "b"}).Err)
	_, err = s.Txn(t.Context(), driver.Txn{Writes: []driver.Op{
		{Kind: driver.OpPut, Key: "a", TTL: 2 * time.Hour}, {Kind: driver.OpDelete, Key: "b"},
	}})
	check.NoError(t, err)
	left(1)
}

func TestWatchOfCompactedHistory(t *testing.T) {
	ctx := t.Context()
	server := testbed.Etcd(t)
	s := openStore(t, open(t, server.URL()), "s")
	first := mustPut(t, s, "k", "1", 0)
	page, err := s.List(ctx, driver.ListRequest{Limit: 1})
	check.NoError(t, err)
	mustPut(t, s, "k2", "1", 0)
	page, err = s.List(ctx, driver.ListRequest{Limit: 1})
	check.NoError(t, err)
	last := mustPut(t, s, "k", "2", 0)
	c, err := server.Client()
	check.NoError(t, err)
	defer c.Close()
	n, err := strconv.ParseInt(string(last), 10, 64)
	check.NoError(t, err)
	_, err = c.Compact(ctx, n)
	check.NoError(t, err)
	w := watch(t, s, first)
	for range 2 {
		_, err = w.Next(ctx)
		check.Code(t, err, fairlead.Compacted)
	}
	_, err = s.List(ctx, driver.ListRequest{Limit: 1, Token: page.Token})
	check.Code(t, err, fairlead.Compacted)
}

// TestWatchOfLostHistory: the server comes back empty.
func TestWatchOfLostHistory(t *testing.T) {
	ctx := t.Context()
	server := testbed.Etcd(t)
	s := openStore(t, open(t, server.URL()), "s")
	for range 50 {
		mustPut(t, s, "k", "1", 0)
	}
	w := watch(t, s, "")
	mustPut(t, s, "k", "2", 0)
	next(t, w)
	check.NoError(t, server.Kill(ctx))
	check.NoError(t, os.RemoveAll(filepath.Join(server.Dir(), "data")))
	check.NoError(t, server.Start(ctx))
	for {
		_, err := w.Next(ctx)
		if fairlead.CodeOf(err) == fairlead.Unavailable {
			continue
		}
		check.Code(t, err, fairlead.Compacted)
		break
	}
	check.Eventually(t, "puts on the empty server", func() bool { return put(t, s, "k", "3") == nil })
	names, err := open(t, server.URL()).(driver.Provider).Stores(ctx, "")
	if fmt.Sprint(names) != "[s]" || err != nil {
		t.Errorf("stores %v, %v", names, err)
	}
}

// TestFrozenServer: calls end with their contexts, and a write fails with
// UnknownOutcome.
func TestFrozenServer(t *testing.T) {
	ctx := t.Context()
	server := testbed.Etcd(t)
	s := openStore(t, open(t, server.URL()+"?request-timeout=1s"), "s")
	mustPut(t, s, "k", "1", 0)
	check.NoError(t, server.Pause(ctx))
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	check.Code(t, s.Do(short, []driver.Op{{Kind: driver.OpGet, Key: "k"}})[0].Err, fairlead.DeadlineExceeded)
	short, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	check.Code(t, s.Do(short, []driver.Op{{Kind: driver.OpPut, Key: "k"}})[0].Err, fairlead.UnknownOutcome)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	check.Code(t, one(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.Unavailable)
	check.Code(t, one(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err, fairlead.UnknownOutcome)
	check.NoError(t, server.Continue(ctx))
	check.Eventually(t, "puts after the pause", func() bool { return put(t, s, "k", "2") == nil })
}

func TestRequestTooLargeForTheServer(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdArgs("--max-request-bytes=600000"))
	s := openStore(t, open(t, server.URL()), "s")
	res := s.Do(t.Context(), []driver.Op{
		{Kind: driver.OpPut, Key: "large", Value: make([]byte, 1_000_000)},
		{Kind: driver.OpPut, Key: "small", Value: []byte("v")},
	})
	check.Code(t, res[0].Err, fairlead.TooLarge)
	check.Code(t, res[1].Err, 0)
}

// TestWritesHaveTheirOwnRevisions: a watch can resume after each write.
func TestWritesHaveTheirOwnRevisions(t *testing.T) {
	s := openStore(t, open(t, testbed.Etcd(t).URL()), "s")
	var ops []driver.Op
	for i := range 50 {
		ops = append(ops, driver.Op{Kind: driver.OpPut, Key: fmt.Sprint("k", i)})
	}
	seen := map[driver.Revision]bool{}
	for _, r := range s.Do(t.Context(), ops) {
		check.NoError(t, r.Err)
		seen[r.Revision] = true
	}
	if len(seen) != len(ops) {
		t.Errorf("%d writes have %d revisions", len(ops), len(seen))
	}
}

// TestQuietWatcherOnACompactedCluster: a watcher to which nothing happens learns how
// far the history has gone, and resumes when its stream breaks after a compaction.
func TestQuietWatcherOnACompactedCluster(t *testing.T) {
	server := testbed.Etcd(t)
	client := etcdClient(t, server)
	p := open(t, server.URL())
	etcd.SetProgress(p, 20*time.Millisecond)
	s, other := openStore(t, p, "quiet"), openStore(t, p, "busy")
	w := watch(t, s, "")
	mustPut(t, s, "first", "1", 0)
	next(t, w)
	for range 100 {
		mustPut(t, other, "k", "v", 0)
	}
	now, err := client.Get(t.Context(), "x")
	check.NoError(t, err)
	check.Eventually(t, "the watcher has asked for its progress", func() bool { return etcd.WatchedUpTo(w) >= now.Header.Revision })
	_, err = client.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical())
	check.NoError(t, err)
	check.NoError(t, server.Restart(t.Context()))
	check.Eventually(t, "a put after the restart", func() bool { return put(t, s, "second", "2") == nil })
	if e := next(t, w); e[0].Key != "second" {
		t.Errorf("the event is %+v", e[0])
	}
}
