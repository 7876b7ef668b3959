package redis_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

func TestTLS(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisTLS(true))
	certs := server.Certificates()
	q := url.Values{"ca-file": {certs.CA}, "cert-file": {certs.ClientCert}, "key-file": {certs.ClientKey}}
	s := openStore(t, open(t, server.URL()+"?"+q.Encode()), "tls")
	mustPut(t, s, "k", "1", 0)
	wantValue(t, s, "k", "1")
	for name, change := range map[string]func(url.Values){
		"no client certificate": func(q url.Values) { q.Del("cert-file"); q.Del("key-file") },
		"unknown authority":     func(q url.Values) { q.Del("ca-file") },
		"another name":          func(q url.Values) { q.Set("server-name", "example.org") },
	} {
		t.Run(name, func(t *testing.T) {
			bad := url.Values{}
			for k, v := range q {
				bad[k] = v
			}
			change(bad)
			_, err := fairlead.Open(t.Context(), server.URL()+"?"+bad.Encode())
			check.Code(t, err, fairlead.Unavailable)
			t.Log(err)
		})
	}
	q.Del("ca-file")
	q.Set("insecure-skip-verify", "true")
	open(t, server.URL()+"?"+q.Encode())
}

func TestPasswords(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisPassword("s3cret"), testbed.RedisUser("app", "app-pw", "~* &* +@all"))
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAIRLEAD_TEST_PASSWORD", "app-pw")
	for _, u := range []string{
		server.URLFor("", "s3cret"),
		server.URLFor("app", "app-pw"),
		server.URL() + "?password-file=" + file,
		strings.Replace(server.URL(), "redis://", "redis://app@", 1) + "?password-env=FAIRLEAD_TEST_PASSWORD",
	} {
		p := open(t, u)
		mustPut(t, openStore(t, p, "pw"), "k", "1", 0)
		d, err := p.Describe(t.Context())
		if err != nil || strings.Contains(fmt.Sprintf("%+v", d), "s3cret") || strings.Contains(fmt.Sprintf("%+v", d), "app-pw") {
			t.Errorf("the description shows the password: %+v, %v", d, err)
		}
	}
}

func TestDatabasesAndPrefixesAreSeparate(t *testing.T) {
	server := testbed.Redis(t)
	for i, u := range []string{server.URL(), server.URL() + "/1", server.URL() + "?prefix=other"} {
		s := openStore(t, open(t, u), "same")
		check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.NotFound)
		mustPut(t, s, "k", fmt.Sprint(i), 0)
	}
}

// putUntilAcknowledged retries a put until it succeeds. It checks that the
// contract allows each failure.
func putUntilAcknowledged(t *testing.T, s driver.Store, value string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r := doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k", Value: []byte(value)})
		switch code := fairlead.CodeOf(r.Err); {
		case r.Err == nil:
			return
		case code != fairlead.Unavailable && code != fairlead.UnknownOutcome:
			t.Fatalf("put during a failover: %v", r.Err)
		case time.Now().After(deadline):
			t.Fatalf("no success after 30 s: %v", r.Err)
		}
		time.Sleep(20 * time.Millisecond) // between two attempts
	}
}

// watchUntil reads events until one has the value, or until the watcher reports a
// gap. The contract allows both.
func watchUntil(t *testing.T, w driver.Watcher, value string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		events, err := w.Next(t.Context())
		switch fairlead.CodeOf(err) {
		case fairlead.Compacted:
			t.Log(err)
			return
		case 0, fairlead.Unavailable:
		default:
			t.Fatal(err)
		}
		for _, e := range events {
			if string(e.Value) == value {
				return
			}
		}
	}
	t.Fatalf("no event with the value %q within 30 s", value)
}

func TestSentinel(t *testing.T) {
	group := testbed.Sentinel(t)
	u := "redis://" + strings.Join(group.Addrs(), ",") + "?probe-interval=100ms&master-name=" + testbed.SentinelMasterName
	p := open(t, u)
	if got := lackOf(t, p, driver.ClaimLinearizableRead); !strings.Contains(got, "sentinel") {
		t.Errorf("got %q", got)
	}
	if got := lackOf(t, p, fairlead.DurableFsync); got != "" {
		t.Error(got)
	}
	d, err := p.Describe(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(d.Notes), "failover may lose") {
		t.Errorf("notes %q, %v", d.Notes, err)
	}
	s := openStore(t, p, "failover")
	w := watch(t, s, driver.WatchRequest{})
	mustPut(t, s, "k", "before", 0)
	if _, _, err := group.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	putUntilAcknowledged(t, s, "after")
	wantValue(t, s, "k", "after")
	watchUntil(t, w, "after")
	_, err = fairlead.Open(t.Context(), "redis://"+group.Addrs()[0])
	check.Code(t, err, fairlead.Invalid) // a Sentinel holds no data
	_, err = fairlead.Open(t.Context(), "redis://"+strings.Join(group.Addrs(), ",")+"?master-name=nobody")
	check.Code(t, err, fairlead.Invalid)
}

func TestCluster(t *testing.T) {
	nodes := testbed.Cluster(t, true)
	p := open(t, "redis://"+nodes.Addrs()[0]+"?probe-interval=100ms") // the provider finds the cluster
	if got := lackOf(t, p, driver.ClaimLinearizableRead); !strings.Contains(got, "cluster") {
		t.Errorf("got %q", got)
	}
	var last driver.Store
	for i := range 12 { // in the hash slots of all nodes
		last = openStore(t, p, fmt.Sprint("store", i))
		mustPut(t, last, "a", fmt.Sprint(i), 0)
		if _, err := last.Txn(t.Context(), driver.Txn{Writes: []driver.Op{{Kind: driver.OpPut, Key: "b"}, {Kind: driver.OpDelete, Key: "a"}}}); err != nil {
			t.Error(err)
		}
		page, err := last.List(t.Context(), driver.ListRequest{Limit: 5})
		if err != nil || len(page.Entries) != 1 {
			t.Errorf("%+v, %v", page, err)
		}
	}
	if names, err := p.(driver.Provider).Stores(t.Context(), "store"); err != nil || len(names) != 12 {
		t.Errorf("stores %q, %v", names, err)
	}
	w := watch(t, last, driver.WatchRequest{})
	if _, _, err := nodes.Failover(t.Context(), "{store11}"); err != nil {
		t.Fatal(err)
	}
	putUntilAcknowledged(t, last, "after")
	wantValue(t, last, "k", "after")
	watchUntil(t, w, "after")
}

// One node that is not durable prevents the claim of the whole cluster.
func TestClusterIsAsDurableAsItsWorstNode(t *testing.T) {
	nodes := testbed.Cluster(t, false)
	bad := nodes.Nodes[1]
	configSet(t, testbed.RedisClient(t, bad), "appendfsync", "everysec")
	p := open(t, "redis://"+strings.Join(nodes.Addrs(), ","))
	got := lackOf(t, p, fairlead.DurableFsync)
	if !strings.Contains(got, bad.Addr()+": appendfsync is everysec") || strings.Contains(got, "also") {
		t.Errorf("got %q", got)
	}
}
