package redis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

func kvFacet(t testing.TB, p fairlead.Provider) fairlead.FacetDescription {
	t.Helper()
	d, err := p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, ok := d.Facet(fairlead.KV)
	if !ok {
		t.Fatalf("no kv facet: %+v", d)
	}
	return f
}

// lackOf returns why the claim does not hold, as printed, or "".
func lackOf(t testing.TB, p fairlead.Provider, c fairlead.Claim) string {
	t.Helper()
	m, missing := c.Check(kvFacet(t, p))
	if !missing {
		return ""
	}
	return m.String()
}

func TestMissingNamesEachLackOfDurability(t *testing.T) {
	for _, c := range []struct{ conf, reason, remedy string }{
		{"appendfsync everysec", "appendfsync is everysec", "CONFIG SET appendfsync always"},
		{"appendfsync no", "appendfsync is no", "CONFIG SET appendfsync always"},
		{"appendonly no", "appendonly is no", "CONFIG SET appendonly yes"},
		{"no-appendfsync-on-rewrite yes", "no-appendfsync-on-rewrite is yes", "CONFIG SET no-appendfsync-on-rewrite no"},
	} {
		t.Run(c.conf, func(t *testing.T) {
			p := open(t, testbed.Redis(t, testbed.RedisConf(c.conf)).URL())
			got := lackOf(t, p, fairlead.DurableFsync)
			if !strings.Contains(got, c.reason) || !strings.Contains(got, c.remedy) {
				t.Errorf("got %q; want %q and %q", got, c.reason, c.remedy)
			}
			if strings.Count(got, "also") > 0 {
				t.Errorf("names more than one lack: %q", got)
			}
		})
	}
}

func TestEvictionPreventsDurabilityAndTimesToLive(t *testing.T) {
	p := open(t, testbed.Redis(t, testbed.RedisConf("maxmemory 100mb", "maxmemory-policy volatile-lru")).URL())
	for _, c := range []fairlead.Claim{fairlead.DurableFsync, driver.ClaimTTL} {
		if got := lackOf(t, p, c); !strings.Contains(got, "maxmemory-policy is volatile-lru") {
			t.Errorf("%s: %q", c, got)
		}
	}
	// Without a limit, nothing is evicted.
	p = open(t, testbed.Redis(t, testbed.RedisConf("maxmemory-policy allkeys-lru")).URL())
	if got := lackOf(t, p, fairlead.DurableFsync); got != "" {
		t.Error(got)
	}
}

func TestDeniedConfigIsUnverified(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisUser("app", "pw", "~* &* +@all -config"))
	u := server.URLFor("app", "pw")
	p := open(t, u)
	if got := lackOf(t, p, fairlead.DurableFsync); !strings.Contains(got, "unverified") || !strings.Contains(got, "assert-durable") {
		t.Errorf("got %q", got)
	}
	p = open(t, u+"?assert-durable=true")
	if got := lackOf(t, p, fairlead.DurableFsync); got != "" {
		t.Error(got)
	}
	d, err := p.Describe(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(d.Notes), "asserted") {
		t.Errorf("the notes do not say that it is asserted: %q, %v", d.Notes, err)
	}
	// assert-durable does not cover what INFO shows.
	off := testbed.Redis(t, testbed.RedisConf("appendonly no"), testbed.RedisUser("app", "pw", "~* &* +@all -config"))
	p = open(t, off.URLFor("app", "pw")+"?assert-durable=true")
	if got := lackOf(t, p, fairlead.DurableFsync); !strings.Contains(got, "appendonly is no") {
		t.Errorf("got %q", got)
	}
}

// permissionsOf returns the commands that docs/providers/redis.md lists for a
// facet.
func permissionsOf(t *testing.T, facet string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/providers/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, row, ok := strings.Cut(string(page), "| "+facet+" | `")
	commands, _, closed := strings.Cut(row, "`")
	if !ok || !closed {
		t.Fatalf("docs/providers/redis.md has no row for %q", facet)
	}
	return strings.ReplaceAll(commands, `\|`, "|")
}

// startForLeastUser starts a server with the user "least", which has only the
// documented permissions of the facets.
func startForLeastUser(t *testing.T, facets ...string) *testbed.RedisServer {
	rules := "~fairlead:*"
	for _, f := range facets {
		rules += " " + permissionsOf(t, f)
	}
	return testbed.Redis(t, testbed.RedisUser("least", "pw", rules))
}

func TestLeastPermissions(t *testing.T) {
	server := startForLeastUser(t, "every facet", "kv, config")
	p := open(t, server.URLFor("least", "pw"))
	if got := lackOf(t, p, fairlead.DurableFsync); got != "" {
		t.Error(got)
	}
	s := openStore(t, p, "acl")
	w := watch(t, s, driver.WatchRequest{})
	mustPut(t, s, "k", "1", time.Millisecond)
	if got := formatEvents(nextEvents(t, w, 2)); got != "Pk=1 Xk=" {
		t.Errorf("events %q", got)
	}
	rev := mustPut(t, s, "k", "2", time.Hour)
	if _, err := s.Txn(t.Context(), driver.Txn{Conditions: []driver.Condition{{Key: "k", Revision: rev}}, Writes: []driver.Op{{Kind: driver.OpDelete, Key: "k"}}}); err != nil {
		t.Error(err)
	}
	if _, err := s.List(t.Context(), driver.ListRequest{Limit: 1}); err != nil {
		t.Error(err)
	}
	if err := p.(driver.Provider).DeleteStore(t.Context(), "acl"); err != nil {
		t.Error(err)
	}
	outside := open(t, server.URLFor("least", "pw")+"?prefix=other")
	_, err := outside.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: "acl"})
	wantCode(t, err, fairlead.PermissionDenied)
}

// logBuffer is a log that tests read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *logBuffer) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *logBuffer) count(s string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.buf.String(), s)
}

func TestLossOfDurabilityAtRunTimeIsLoggedOnce(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	var log logBuffer
	p := open(t, server.URL()+"?probe-interval=50ms", fairlead.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	d, err := p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		t.Helper()
		if err := c.ConfigSet(t.Context(), "appendfsync", value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("everysec")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if d, err = p.Await(ctx, d.Generation); err != nil {
		t.Fatal(err)
	}
	if got := lackOf(t, p, fairlead.DurableFsync); !strings.Contains(got, "appendfsync is everysec") {
		t.Errorf("got %q", got)
	}
	set("always")
	if _, err = p.Await(ctx, d.Generation); err != nil {
		t.Fatal(err)
	}
	if got := lackOf(t, p, fairlead.DurableFsync); got != "" {
		t.Error(got)
	}
	if log.count("level=WARN") != 1 || log.count("appendfsync is everysec") != 1 {
		t.Errorf("log: %s", log.buf.String())
	}
}

// configSet changes settings of a server: names and values in turn.
func configSet(t *testing.T, c *goredis.Client, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := c.ConfigSet(t.Context(), pairs[i], pairs[i+1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// infoHas reports whether INFO persistence has the line.
func infoHas(t *testing.T, c *goredis.Client, line string) bool {
	t.Helper()
	text, err := c.Info(t.Context(), "persistence").Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(text, line)
}

// If the append-only file is turned on at run time, it is not in use until its
// first rewrite has ended, although the server reports that it is on.
func TestFirstRewriteOfTheAppendOnlyFileIsAwaited(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("appendonly no"))
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL()+"?probe-interval=50ms")
	for i := range 4 {
		if err := c.Set(t.Context(), fmt.Sprint(i), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	configSet(t, c, "rdb-key-save-delay", "300000", "appendonly", "yes")
	eventually(t, "the reason to change", func() bool {
		return strings.Contains(lackOf(t, p, fairlead.DurableFsync), "may be the first one")
	})
	if !infoHas(t, c, "aof_enabled:1") || !infoHas(t, c, "aof_rewrite_in_progress:1") {
		t.Fatal("the server has ended its rewrite too early: the test shows nothing")
	}
	late := open(t, server.URL())
	if got := lackOf(t, late, fairlead.DurableFsync); !strings.Contains(got, "may be the first one") {
		t.Errorf("a provider that opens now: %q", got)
	}
	eventually(t, "the claim", func() bool { return lackOf(t, p, fairlead.DurableFsync) == "" })
	if !infoHas(t, c, "aof_rewrite_in_progress:0") {
		t.Error("claimed before the rewrite had ended")
	}
}

func TestRoutineRewriteKeepsTheClaim(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	for i := range 4 {
		if err := c.Set(t.Context(), fmt.Sprint(i), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	configSet(t, c, "rdb-key-save-delay", "200000")
	p := open(t, server.URL()+"?probe-interval=50ms")
	before, err := p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:1") })
	eventually(t, "the end of the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:0") })
	after, err := p.Describe(t.Context())
	if err != nil || after.Generation != before.Generation {
		t.Errorf("the description changed: %+v, %v", after, err)
	}
	// Off and on again: the rewrite that runs then is the first one.
	configSet(t, c, "appendonly", "no", "appendonly", "yes")
	eventually(t, "the loss to be noticed", func() bool {
		return strings.Contains(lackOf(t, p, fairlead.DurableFsync), "may be the first one")
	})
	eventually(t, "the claim", func() bool { return lackOf(t, p, fairlead.DurableFsync) == "" })
}

// A rewrite that runs while a provider opens does not prevent the claim if the
// server has had its file from its start.
func TestOpenDuringARoutineRewrite(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("rdb-key-save-delay 300000"))
	c := testbed.RedisClient(t, server)
	for i := range 10 {
		if err := c.Set(t.Context(), fmt.Sprint(i), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:1") })
	p := open(t, server.URL())
	if got := lackOf(t, p, fairlead.DurableFsync); got != "" {
		t.Errorf("a provider that opens now: %q", got)
	}
	store := openStore(t, p, "k")
	mustPut(t, store, "k", "kept", 0)
	if err := c.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if got := lackOf(t, open(t, server.URL()), fairlead.DurableFsync); !strings.Contains(got, "may be the first one") {
		t.Errorf("without the statistics: %q", got)
	}
	if !infoHas(t, c, "aof_rewrite_in_progress:1") {
		t.Fatal("the server has ended its rewrite too early: the test shows nothing")
	}
	if err := server.Kill(t.Context()); err != nil { // the claim is true: the value survives
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the value that was written during the rewrite", func() bool {
		r := doOne(t, store, driver.Op{Kind: driver.OpGet, Key: "k"})
		return r.Err == nil && string(r.Value) == "kept"
	})
}

func TestRestartIsProbedAgain(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL()+"?probe-interval=1m")
	s := openStore(t, p, "k")
	// A restart undoes a change that is not in redis.conf.
	configSet(t, testbed.RedisClient(t, server), "appendfsync", "everysec")
	p2 := open(t, server.URL()+"?probe-interval=1m")
	if got := lackOf(t, p2, fairlead.DurableFsync); got == "" {
		t.Fatal("the provider claims DurableFsync with appendfsync everysec")
	}
	s2 := openStore(t, p2, "k")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new connection", func() bool {
		return doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err == nil &&
			doOne(t, s2, driver.Op{Kind: driver.OpPut, Key: "k"}).Err == nil
	})
	eventually(t, "the probe", func() bool { return lackOf(t, p2, fairlead.DurableFsync) == "" })
}

func TestReplicasAreNoted(t *testing.T) {
	primary := testbed.Redis(t)
	testbed.Redis(t, testbed.RedisConf("replicaof "+strings.ReplaceAll(primary.Addr(), ":", " ")))
	c := testbed.RedisClient(t, primary)
	eventually(t, "the replica", func() bool {
		text, err := c.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(text, "connected_slaves:1")
	})
	d, err := open(t, primary.URL()).Describe(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(d.Notes), "promoting") {
		t.Errorf("notes %q, %v", d.Notes, err)
	}
}

// A server that loads its data reports that it has no append-only file. The claim
// is kept: until the data is loaded, the server serves no client.
func TestLoadingServerKeepsTheClaim(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("key-load-delay 50000", "loading-process-events-interval-bytes 1024"))
	var log logBuffer
	p := open(t, server.URL()+"?probe-interval=50ms", fairlead.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	s := openStore(t, p, "loading")
	for i := range 20 {
		value := make([]byte, 4096) // all different, because the server compresses them
		_, _ = rand.Read(value)     // never fails
		mustPut(t, s, fmt.Sprint(i), string(value), 0)
	}
	// While it loads a rewritten file, the server serves its connections.
	c := testbed.RedisClient(t, server)
	if err := c.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:0") })
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- server.Start(context.Background()) }() // returns when the data is loaded
	eventually(t, "the server to load", func() bool {
		err := doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err
		return err != nil && strings.Contains(err.Error(), "loading its data")
	})
	_, err := fairlead.Open(t.Context(), server.URL())
	wantCode(t, err, fairlead.Unavailable)
	if !strings.Contains(fmt.Sprint(err), "loading") {
		t.Errorf("open: %v", err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "k", "after", 0)
	if log.count("level=WARN") != 0 || lackOf(t, p, fairlead.DurableFsync) != "" {
		t.Errorf("log: %s", log.buf.String())
	}
}
