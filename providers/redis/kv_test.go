package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

func openStore(t testing.TB, p fairlead.Provider, name string) driver.Store {
	t.Helper()
	s, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// doOne executes one operation.
func doOne(t testing.TB, s driver.Store, op driver.Op) driver.Result {
	t.Helper()
	return s.Do(t.Context(), []driver.Op{op})[0]
}

func mustPut(t testing.TB, s driver.Store, key, value string, ttl time.Duration) driver.Revision {
	t.Helper()
	r := doOne(t, s, driver.Op{Kind: driver.OpPut, Key: key, Value: []byte(value), TTL: ttl})
	if r.Err != nil || r.Revision == "" {
		t.Fatalf("put %q: revision %q, %v", key, r.Revision, r.Err)
	}
	return r.Revision
}

func wantValue(t testing.TB, s driver.Store, key, value string) {
	t.Helper()
	r := doOne(t, s, driver.Op{Kind: driver.OpGet, Key: key})
	if r.Err != nil || string(r.Value) != value {
		t.Errorf("get %q: %q, %v; want %q", key, r.Value, r.Err, value)
	}
}

// nextEvents returns the next n events.
func nextEvents(t testing.TB, w driver.Watcher, n int) (events []driver.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(events) < n {
		got, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(events), n, err)
		}
		events = append(events, got...)
	}
	return events
}

func watch(t testing.TB, s driver.Store, r driver.WatchRequest) driver.Watcher {
	t.Helper()
	w, err := s.Watch(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

func formatEvents(events []driver.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%c%s=%s ", " PDX"[e.Kind], e.Key, e.Value)
	}
	return strings.TrimSpace(b.String())
}

func TestKeysOfAnyBytesAreDistinct(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "keys")
	keys := []string{"a", "{a}", "a\x00b", "*", "a:b", " ", "é", "\n", ".", "!", "log", "1-1.", strings.Repeat("x", 4096)}
	for _, k := range keys {
		mustPut(t, s, k, "value of "+k, 0)
	}
	for _, k := range keys {
		wantValue(t, s, k, "value of "+k)
	}
	page, err := s.List(t.Context(), driver.ListRequest{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, e := range page.Entries {
		listed = append(listed, e.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(listed, keys) || page.Token != "" {
		t.Errorf("listed %q, token %q; want %q", listed, page.Token, keys)
	}
}

// patient are settings for tests of large values: a busy machine may take longer
// than the default timeouts.
const patient = "read-timeout=1m&write-timeout=1m"

func TestBinaryValuesUpToTheLimit(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()+"?"+patient), "values")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, v := range []string{"", string(all), strings.Repeat(string(all), 16<<20/256)} {
		mustPut(t, s, "k", v, 0)
		r := doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"})
		if r.Err != nil || string(r.Value) != v {
			t.Errorf("%d bytes: got %d, %v", len(v), len(r.Value), r.Err)
		}
	}
}

func TestConditions(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "cas")
	op := func(k driver.OpKind, rev driver.Revision) driver.Result {
		return doOne(t, s, driver.Op{Kind: k, Key: "k", Value: []byte("v"), Revision: rev})
	}
	check.Code(t, op(driver.OpCAS, "1-1").Err, fairlead.Conflict)
	check.Code(t, op(driver.OpDeleteIf, "1-1").Err, fairlead.Conflict)
	first := op(driver.OpCreate, "").Revision
	check.Code(t, op(driver.OpCreate, "").Err, fairlead.Conflict)
	second := op(driver.OpCAS, first)
	if second.Err != nil || second.Revision == first {
		t.Fatalf("CAS: %+v", second)
	}
	check.Code(t, op(driver.OpCAS, first).Err, fairlead.Conflict)
	if r := op(driver.OpDeleteIf, second.Revision); r.Err != nil {
		t.Error(r.Err)
	}
	check.Code(t, op(driver.OpCAS, second.Revision).Err, fairlead.Conflict)
	if r := op(driver.OpDelete, ""); r.Err != nil {
		t.Error(r.Err)
	}
	if again := op(driver.OpCreate, ""); again.Err != nil || again.Revision == first || again.Revision == second.Revision {
		t.Errorf("created again: %+v", again)
	}
}

func TestBatchReturnsAResultForEachOperation(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "batch")
	mustPut(t, s, "there", "1", 0)
	r := s.Do(t.Context(), []driver.Op{
		{Kind: driver.OpGet, Key: "there"},
		{Kind: driver.OpCreate, Key: "there"},
		{Kind: driver.OpGet, Key: "missing"},
		{Kind: driver.OpPut, Key: "new", Value: []byte("2")},
		{Kind: driver.OpPut, Key: "late", Deadline: time.Now().Add(-time.Second)},
		{Kind: driver.OpDelete, Key: "missing"},
	})
	for i, code := range []fairlead.Code{0, fairlead.Conflict, fairlead.NotFound, 0, fairlead.DeadlineExceeded, 0} {
		if fairlead.CodeOf(r[i].Err) != code {
			t.Errorf("operation %d: %v; want %v", i, r[i].Err, code)
		}
	}
	wantValue(t, s, "new", "2")
}

func TestTimesToLive(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()), "ttl")
	w := watch(t, s, driver.WatchRequest{})
	const ttl = 300 * time.Millisecond
	start := time.Now()
	mustPut(t, s, "short", "1", ttl)
	mustPut(t, s, "cleared", "2", ttl)
	mustPut(t, s, "cleared", "3", 0)
	wantValue(t, s, "short", "1")
	check.Eventually(t, "the end of the key", func() bool {
		return errors.Is(doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "short"}).Err, fairlead.NotFound)
	})
	if took := time.Since(start); took < ttl {
		t.Errorf("expired after %v, before its time to live of %v", took, ttl)
	}
	wantValue(t, s, "cleared", "3")
	if got, want := formatEvents(nextEvents(t, w, 4)), "Pshort=1 Pcleared=2 Pcleared=3 Xshort="; got != want {
		t.Errorf("events %q; want %q", got, want)
	}
	page, err := s.List(t.Context(), driver.ListRequest{Limit: 10})
	if err != nil || len(page.Entries) != 1 {
		t.Errorf("listed %+v, %v", page, err)
	}
	c := testbed.RedisClient(t, server)
	for _, key := range []string{"deadlines", "index"} {
		members, err := c.ZRange(t.Context(), "fairlead:kv:{ttl}:"+key, 0, -1).Result()
		if err != nil || slices.Contains(members, "short") {
			t.Errorf("%s still holds %q, %v", key, members, err)
		}
	}
}

func TestExpiryEventComesOnceBeforeTheNextWrite(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()+"?probe-interval=1m"), "ttl")
	rev := mustPut(t, s, "k", "1", 50*time.Millisecond)
	check.Eventually(t, "the end of the key", func() bool {
		return errors.Is(doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.NotFound)
	})
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpCAS, Key: "k", Revision: rev}).Err, fairlead.Conflict)
	mustPut(t, s, "k", "2", 0)
	w := watch(t, s, driver.WatchRequest{After: rev})
	if got, want := formatEvents(nextEvents(t, w, 2)), "Xk= Pk=2"; got != want {
		t.Errorf("events %q; want %q", got, want)
	}
}

func TestTimeToLiveContinuesWhileTheServerIsDown(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()), "ttl")
	rev := mustPut(t, s, "k", "1", 100*time.Millisecond)
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // until the time to live has ended
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.NotFound)
	if got := formatEvents(nextEvents(t, watch(t, s, driver.WatchRequest{After: rev}), 1)); got != "Xk=" {
		t.Errorf("events %q", got)
	}
}

func TestTxnIsAllOrNothing(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "txn")
	rev := mustPut(t, s, "a", "1", 0)
	w := watch(t, s, driver.WatchRequest{})
	writes := []driver.Op{
		{Kind: driver.OpPut, Key: "b", Value: []byte("2"), TTL: time.Hour},
		{Kind: driver.OpDelete, Key: "a"},
		{Kind: driver.OpDelete, Key: "missing"},
	}
	_, err := s.Txn(t.Context(), driver.Txn{Conditions: []driver.Condition{{Key: "a", Revision: rev}, {Key: "a2", Revision: "1-1"}}, Writes: writes})
	check.Code(t, err, fairlead.Conflict)
	if !strings.Contains(fmt.Sprint(err), `"a2"`) {
		t.Errorf("the error does not name the key: %v", err)
	}
	wantValue(t, s, "a", "1")
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "b"}).Err, fairlead.NotFound)

	got, err := s.Txn(t.Context(), driver.Txn{Conditions: []driver.Condition{{Key: "a", Revision: rev}, {Key: "b"}}, Writes: writes})
	if err != nil {
		t.Fatal(err)
	}
	if r := doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "b"}); r.Revision != got {
		t.Errorf("b has the revision %q; the transaction returned %q", r.Revision, got)
	}
	events, err := w.Next(t.Context())
	if err != nil || formatEvents(events) != "Pb=2 Da=" {
		t.Errorf("events %q, %v", formatEvents(events), err)
	}
	if again, err := s.Txn(t.Context(), driver.Txn{Conditions: []driver.Condition{{Key: "a"}}}); err != nil || again != got {
		t.Errorf("a transaction that changes nothing: %q, %v; want %q", again, err, got)
	}
}

func TestLargestTxn(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "txn")
	var txn driver.Txn
	for i := range 512 {
		txn.Conditions = append(txn.Conditions, driver.Condition{Key: fmt.Sprint("c", i)})
		txn.Writes = append(txn.Writes, driver.Op{Kind: driver.OpPut, Key: fmt.Sprint("w", i)})
	}
	if _, err := s.Txn(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	txn.Conditions = nil
	for i := range 512 {
		txn.Writes = append(txn.Writes, driver.Op{Kind: driver.OpPut, Key: fmt.Sprint("v", i)})
	}
	w := watch(t, s, driver.WatchRequest{})
	if _, err := s.Txn(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	if events, err := w.Next(t.Context()); len(events) != 1024 {
		t.Errorf("%d events in one, %v", len(events), err)
	}
}

func TestListPages(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "list")
	for i := range 25 {
		mustPut(t, s, fmt.Sprintf("p/%02d", i), "v", 0)
	}
	mustPut(t, s, "p", "", 0)
	mustPut(t, s, "p0", "", 0)
	var keys []string
	r := driver.ListRequest{Prefix: "p/", Limit: 10}
	for {
		page, err := s.List(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			keys = append(keys, e.Key)
		}
		if r.Token = page.Token; r.Token == "" {
			break
		}
	}
	if len(keys) != 25 || keys[0] != "p/00" || keys[24] != "p/24" || !slices.IsSorted(keys) {
		t.Errorf("keys %q", keys)
	}
	_, err := s.List(t.Context(), driver.ListRequest{Prefix: "p/", Limit: 10, Token: "after:q"})
	check.Code(t, err, fairlead.Invalid)
}

func TestWatchContinuesFromTheRevisionOfAList(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "list")
	empty, err := s.List(t.Context(), driver.ListRequest{Limit: 1})
	if err != nil || empty.Revision == "" {
		t.Fatalf("%+v, %v", empty, err)
	}
	mustPut(t, s, "a", "1", 0)
	page, err := s.List(t.Context(), driver.ListRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "b", "2", 0)
	if got := formatEvents(nextEvents(t, watch(t, s, driver.WatchRequest{After: empty.Revision}), 2)); got != "Pa=1 Pb=2" {
		t.Errorf("events %q", got)
	}
	if got := formatEvents(nextEvents(t, watch(t, s, driver.WatchRequest{After: page.Revision}), 1)); got != "Pb=2" {
		t.Errorf("events %q", got)
	}
}

func TestManyStores(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL())
	for _, name := range []string{"run-a", "run-b", "other"} {
		mustPut(t, openStore(t, p, name), "k", name, 0)
	}
	wantValue(t, openStore(t, p, "run-a"), "k", "run-a")
	big := openStore(t, p, "run-a")
	var ops []driver.Op
	for i := range 2500 {
		ops = append(ops, driver.Op{Kind: driver.OpPut, Key: fmt.Sprint(i)})
	}
	big.Do(t.Context(), ops)
	manage := p.(driver.Provider)
	for range 2 {
		if err := manage.DeleteStore(t.Context(), "run-a"); err != nil {
			t.Fatal(err)
		}
	}
	names, err := manage.Stores(t.Context(), "run-")
	if err != nil || !slices.Equal(names, []string{"run-b"}) {
		t.Errorf("stores %q, %v", names, err)
	}
	left, err := testbed.RedisClient(t, server).Keys(t.Context(), "*run-a*").Result()
	if err != nil || len(left) > 0 {
		t.Errorf("keys that were not removed: %q, %v", left, err)
	}
	check.Code(t, doOne(t, big, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.NotFound)
	mustPut(t, big, "k", "again", 0) // the open handle creates the store again
	wantValue(t, openStore(t, p, "run-a"), "k", "again")
}

func TestOutOfMemory(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()), "oom")
	mustPut(t, s, "old", strings.Repeat("x", 1000), 0)
	c := testbed.RedisClient(t, server)
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	r := s.Do(t.Context(), []driver.Op{
		{Kind: driver.OpPut, Key: "new"},
		{Kind: driver.OpCreate, Key: "new"},
		{Kind: driver.OpGet, Key: "old"},
	})
	check.Code(t, r[0].Err, fairlead.Unavailable)
	check.Code(t, r[1].Err, fairlead.Unavailable)
	if r[2].Err != nil {
		t.Error(r[2].Err)
	}
	_, err := s.Txn(t.Context(), driver.Txn{Writes: []driver.Op{{Kind: driver.OpPut, Key: "new"}, {Kind: driver.OpDelete, Key: "old"}}})
	check.Code(t, err, fairlead.Unavailable)
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "new"}).Err, fairlead.NotFound)
	if r := doOne(t, s, driver.Op{Kind: driver.OpDelete, Key: "old"}); r.Err != nil {
		t.Errorf("a delete, which frees memory, failed: %v", r.Err)
	}
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "old"}).Err, fairlead.NotFound)
}

func TestForeignValueIsAnError(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()), "foreign")
	if err := testbed.RedisClient(t, server).Set(t.Context(), "fairlead:kv:{foreign}:k:k", "abc", 0).Err(); err != nil {
		t.Fatal(err)
	}
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.Internal)
}

func TestAsReturnsTheClient(t *testing.T) {
	p := open(t, testbed.Redis(t).URL())
	var c *goredis.Client
	var u goredis.UniversalClient
	var cc *goredis.ClusterClient
	if !fairlead.As(p, &c) || !fairlead.As(p, &u) || fairlead.As(p, &cc) {
		t.Fatal("As returned false for a documented type, or true for the client of a cluster")
	}
	if err := errors.Join(c.Ping(t.Context()).Err(), u.Ping(t.Context()).Err()); err != nil {
		t.Error(err)
	}
}

// A write that the server cannot record changes nothing, except a delete, which says
// what it did.
func TestWritesThatCannotBeRecorded(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	s := openStore(t, open(t, server.URL()), "unrecorded")
	const log = "fairlead:kv:{unrecorded}:log"
	mustPut(t, s, "old", "1", 0)
	mustPut(t, s, "older", "1", 0)
	check.NoError(t, c.Do(t.Context(), "xsetid", log, "18446744073709551615-18446744073709551615").Err())
	results := s.Do(t.Context(), []driver.Op{{Kind: driver.OpPut, Key: "new"}, {Kind: driver.OpDelete, Key: "old"}, {Kind: driver.OpDelete, Key: "none"}})
	check.Code(t, results[0].Err, fairlead.Internal)
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "new"}).Err, fairlead.NotFound)
	check.Code(t, results[1].Err, fairlead.UnknownOutcome)
	check.NoError(t, results[2].Err)
	_, err := s.Txn(t.Context(), driver.Txn{Writes: []driver.Op{{Kind: driver.OpDelete, Key: "older"}}})
	check.Code(t, err, fairlead.UnknownOutcome)

	check.NoError(t, c.Set(t.Context(), "fairlead:kv:{unrecorded}:k:old", "1-1.x", 0).Err())
	check.NoError(t, c.Del(t.Context(), log).Err())
	check.NoError(t, c.Set(t.Context(), log, "foreign", 0).Err())
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpDelete, Key: "old"}).Err, fairlead.Internal)
	wantValue(t, s, "old", "x")
}
