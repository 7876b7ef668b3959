package redis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
	pubsubdriver "fairlead.dev/pubsub/driver"
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

// claimsOf returns the claims of all facets.
func claimsOf(t testing.TB, p fairlead.Provider) (claims []string) {
	t.Helper()
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	for _, f := range d.Facets {
		for _, c := range f.Claims {
			claims = append(claims, string(f.Facet)+"/"+string(c))
		}
	}
	slices.Sort(claims)
	return claims
}

// The table in docs/providers/redis.md says what eviction takes away.
func TestEvictionTakesClaimsAway(t *testing.T) {
	all := claimsOf(t, open(t, testbed.Redis(t).URL()))
	expiry := []string{"kv/DurableFsync", "kv/kv.ExpiryEvents", "kv/kv.TTL", "pubsub/DurableFsync", "pubsub/pubsub.Dedupe"}
	any := []string{
		"kv/kv.CAS", "kv/kv.List", "kv/kv.Txn", "kv/kv.Watch", "kv/kv.WatchEvery", "kv/kv.WatchTxn",
		"pubsub/pubsub.ConfirmedAck", "pubsub/pubsub.DeliveryCount", "pubsub/pubsub.Extend", "pubsub/pubsub.FencedAck",
		"pubsub/pubsub.NackDelay", "pubsub/pubsub.OrderedByKey", "pubsub/pubsub.Release",
		"pubsub/pubsub.ReplayPosition", "pubsub/pubsub.ReplayStart", "pubsub/pubsub.ReplayTime",
	}
	server := testbed.Redis(t, testbed.RedisUser("app", "pw", "~* &* +@all -config"))
	c := testbed.RedisClient(t, server)
	for policy, want := range map[string][]string{
		"noeviction": nil, "volatile-lru": expiry, "volatile-ttl": expiry, "allkeys-lru": append(any, expiry...), "allkeys-random": append(any, expiry...),
	} {
		configSet(t, c, "maxmemory", "100mb", "maxmemory-policy", policy)
		for _, query := range []string{"", "?assert-durable=true"} { // INFO tells the policy without CONFIG, too
			u := server.URL()
			if query != "" {
				u = server.URLFor("app", "pw") + query
			}
			p := open(t, u)
			got := claimsOf(t, p)
			lost := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return slices.Contains(got, c) })
			if slices.Sort(want); !slices.Equal(lost, want) {
				t.Errorf("%s%s takes away %q; want %q", policy, query, lost, want)
			}
			if reason := lackOf(t, p, driver.ClaimTTL); want != nil && !strings.Contains(reason, "maxmemory-policy is "+policy) {
				t.Errorf("%s: %q", policy, reason)
			}
		}
	}
	configSet(t, c, "maxmemory", "0", "maxmemory-policy", "allkeys-lru") // without a limit, nothing is evicted
	if got := claimsOf(t, open(t, server.URL())); !slices.Equal(got, all) {
		t.Errorf("without maxmemory: %q; want %q", got, all)
	}
}

// The settings that docs/providers/redis.md names as harmless take no claim away,
// and what is claimed works with them.
func TestSettingsThatTakeNothing(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf(
		`notify-keyspace-events ""`, "lazyfree-lazy-eviction yes", "lazyfree-lazy-expire yes", "lazyfree-lazy-server-del yes",
		"lazyfree-lazy-user-del yes", "active-expire-effort 1", "hz 1", "aof-load-truncated no", "aof-use-rdb-preamble no",
		"save 3600 1", "stop-writes-on-bgsave-error no", "min-replicas-max-lag 1", "replica-read-only no", "timeout 1",
		"activedefrag no", "stream-node-max-entries 3", "busy-reply-threshold 50", "enable-debug-command yes"))
	p := open(t, server.URL())
	if got, want := claimsOf(t, p), claimsOf(t, open(t, testbed.Redis(t).URL())); !slices.Equal(got, want) {
		t.Errorf("claims %q; want %q", got, want)
	}
	check.NoError(t, testbed.RedisClient(t, server).Do(t.Context(), "debug", "set-active-expire", 0).Err())
	s := openStore(t, p, "s")
	w := watch(t, s, driver.WatchRequest{})
	mustPut(t, s, "k", "1", time.Millisecond)
	if got := formatEvents(nextEvents(t, w, 2)); got != "Pk=1 Xk=" {
		t.Errorf("events %q", got)
	}
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.NotFound)
}

func TestLimitsOfAServerThatTakesLess(t *testing.T) {
	p := open(t, testbed.Redis(t, testbed.RedisConf("proto-max-bulk-len 1mb")).URL())
	d, err := p.Describe(t.Context())
	check.NoError(t, err)
	kv, _ := d.Facet(fairlead.KV)
	ps, _ := d.Facet(fairlead.PubSub)
	if kv.Limits.MaxValueBytes != 1<<20 || ps.Limits.MaxMessageBytes != 1<<20-2048 {
		t.Fatalf("limits %+v, %+v", kv.Limits, ps.Limits)
	}
	s := openStore(t, p, "s")
	value := strings.Repeat("x", kv.Limits.MaxValueBytes)
	mustPut(t, s, "k", value, 0)
	wantValue(t, s, "k", value)
	tt := topicTest{t, p.(pubsubdriver.Provider), "orders"}
	r := tt.subscribe(group)
	body := value[:ps.Limits.MaxMessageBytes]
	tt.sendBodies(tt.topic(), body, body)
	tt.ack(r, tt.receiveBodies(r, body, body)...)
}

// A replica that accepts writes loses them; a provider that is open when its
// server becomes one notices.
func TestWritableReplicaTakesClaimsAway(t *testing.T) {
	other, server := testbed.Redis(t), testbed.Redis(t, testbed.RedisConf("replica-read-only no"))
	p := open(t, server.URL()+"?probe-interval=50ms")
	host, port, _ := strings.Cut(other.Addr(), ":")
	check.NoError(t, testbed.RedisClient(t, server).ReplicaOf(t.Context(), host, port).Err())
	for _, c := range []fairlead.Claim{fairlead.DurableFsync, driver.ClaimCAS, driver.ClaimList, driver.ClaimTTL, driver.ClaimLinearizableRead} {
		check.Eventually(t, "the loss of "+string(c), func() bool { return strings.Contains(lackOf(t, p, c), "replica") })
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
	return testbed.Redis(t, testbed.RedisUser("least", "pw", leastRules(t, "fairlead", facets...)))
}

// leastRules returns the documented permissions of the facets, for the keys of a prefix.
func leastRules(t *testing.T, prefix string, facets ...string) string {
	rules := "~" + prefix + ":*"
	for _, f := range facets {
		rules += " " + permissionsOf(t, f)
	}
	return rules
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
	check.Code(t, err, fairlead.PermissionDenied)
}

// All commands that a user lacks are in one error, and nothing is applied in part.
func TestMissingPermissionsAreListed(t *testing.T) {
	server := startForLeastUser(t, "every facet", "kv, config", "pubsub", "rpc")
	c := testbed.RedisClient(t, server)
	p := open(t, server.URLFor("least", "pw"))
	s := openStore(t, p, "open") // before the permissions go
	for _, commands := range [][]string{{"-set", "-zadd", "-getrange"}, {"-zadd"}, {"-xrange", "-hset", "-xgroup|create"}, {"-xadd"}} {
		rules := []any{"acl", "setuser", "least"}
		undo := []any{"acl", "setuser", "least"}
		for _, c := range commands {
			rules, undo = append(rules, c), append(undo, "+"+c[1:])
		}
		check.NoError(t, c.Do(t.Context(), rules...).Err())
		late := open(t, server.URLFor("least", "pw"))
		_, kvErr := late.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: "late"})
		_, psErr := late.(pubsubdriver.Provider).OpenTopic(t.Context(), pubsubdriver.TopicConfig{Name: "late"})
		for facet, err := range map[string]error{"kv, config": kvErr, "pubsub": psErr} {
			needs := strings.Fields(permissionsOf(t, "every facet") + " " + permissionsOf(t, facet))
			concerned := false
			for _, c := range commands {
				if slices.Contains(needs, "+"+c[1:]) {
					concerned = true
					if !strings.Contains(fmt.Sprint(err), " +"+c[1:]) {
						t.Errorf("without %q, %s: the error does not name %s: %v", commands, facet, c[1:], err)
					}
				}
			}
			if concerned {
				check.Code(t, err, fairlead.PermissionDenied)
			}
		}
		if slices.Contains(commands, "-set") {
			err := doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err
			if !strings.Contains(fmt.Sprint(err), "+getrange +set +zadd") {
				t.Errorf("the error of a later write does not name all: %v", err)
			}
		}
		check.NoError(t, c.Do(t.Context(), undo...).Err())
	}
	if n := c.Exists(t.Context(), "fairlead:kv:{late}:log:permissions").Val(); n != 0 {
		t.Error("the check has left a key")
	}
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
	check.Eventually(t, "the reason to change", func() bool {
		return strings.Contains(lackOf(t, p, fairlead.DurableFsync), "may be the first one")
	})
	if !infoHas(t, c, "aof_enabled:1") || !infoHas(t, c, "aof_rewrite_in_progress:1") {
		t.Fatal("the server has ended its rewrite too early: the test shows nothing")
	}
	late := open(t, server.URL())
	if got := lackOf(t, late, fairlead.DurableFsync); !strings.Contains(got, "may be the first one") {
		t.Errorf("a provider that opens now: %q", got)
	}
	check.Eventually(t, "the claim", func() bool { return lackOf(t, p, fairlead.DurableFsync) == "" })
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
	check.Eventually(t, "the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:1") })
	check.Eventually(t, "the end of the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:0") })
	after, err := p.Describe(t.Context())
	if err != nil || after.Generation != before.Generation {
		t.Errorf("the description changed: %+v, %v", after, err)
	}
	// Off and on again: the rewrite that runs then is the first one.
	configSet(t, c, "appendonly", "no", "appendonly", "yes")
	check.Eventually(t, "the loss to be noticed", func() bool {
		return strings.Contains(lackOf(t, p, fairlead.DurableFsync), "may be the first one")
	})
	check.Eventually(t, "the claim", func() bool { return lackOf(t, p, fairlead.DurableFsync) == "" })
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
	check.Eventually(t, "the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:1") })
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
	check.Eventually(t, "the value that was written during the rewrite", func() bool {
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
	check.Eventually(t, "a new connection", func() bool {
		return doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err == nil &&
			doOne(t, s2, driver.Op{Kind: driver.OpPut, Key: "k"}).Err == nil
	})
	check.Eventually(t, "the probe", func() bool { return lackOf(t, p2, fairlead.DurableFsync) == "" })
}

func TestReplicasAreNoted(t *testing.T) {
	primary := testbed.Redis(t)
	testbed.Redis(t, testbed.RedisConf("replicaof "+strings.ReplaceAll(primary.Addr(), ":", " ")))
	c := testbed.RedisClient(t, primary)
	check.Eventually(t, "the replica", func() bool {
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
	check.Eventually(t, "the end of the rewrite", func() bool { return infoHas(t, c, "aof_rewrite_in_progress:0") })
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- server.Start(context.Background()) }() // returns when the data is loaded
	check.Eventually(t, "the server to load", func() bool {
		err := doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err
		return err != nil && strings.Contains(err.Error(), "loading its data")
	})
	_, err := fairlead.Open(t.Context(), server.URL())
	check.Code(t, err, fairlead.Unavailable)
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
