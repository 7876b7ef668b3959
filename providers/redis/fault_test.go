package redis_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

// proxied starts a server and a proxy in front of it, and returns the URL of the
// proxy.
func proxied(t *testing.T, opts ...testbed.RedisOption) (*testbed.RedisServer, *testbed.TCPProxy, string) {
	t.Helper()
	server := testbed.Redis(t, opts...)
	proxy := testbed.Proxy(t, server.Addr())
	return server, proxy, "redis://" + proxy.Addr()
}

func TestLostReplyOfAWriteIsFound(t *testing.T) {
	_, proxy, u := proxied(t)
	s := openStore(t, open(t, u), "lost")
	first := mustPut(t, s, "cas", "1", 0)
	for _, op := range []driver.Op{
		{Kind: driver.OpPut, Key: "put"},
		{Kind: driver.OpCreate, Key: "create"},
		{Kind: driver.OpCAS, Key: "cas", Revision: first},
	} {
		op.Value = fmt.Append(nil, "swallow ", op.Kind)
		trap := proxy.SwallowReply(op.Value)
		r := doOne(t, s, op)
		<-trap.Sprung()
		if r.Err != nil || r.Revision == "" {
			t.Errorf("%s: %+v", op.Key, r)
			continue
		}
		got := doOne(t, s, driver.Op{Kind: driver.OpGet, Key: op.Key})
		if got.Revision != r.Revision || string(got.Value) != string(op.Value) {
			t.Errorf("%s: the store holds %q %s; the write returned %s", op.Key, got.Value, got.Revision, r.Revision)
		}
	}
}

func TestLostReplyOfABatchIsFoundForEachOperation(t *testing.T) {
	_, proxy, u := proxied(t)
	s := openStore(t, open(t, u), "lost")
	mustPut(t, s, "there", "1", 0)
	mustPut(t, s, "gone", "1", 0)
	trap := proxy.SwallowReply([]byte("swallow"))
	r := s.Do(t.Context(), []driver.Op{
		{Kind: driver.OpPut, Key: "new", Value: []byte("swallow")},
		{Kind: driver.OpCreate, Key: "there"},
		{Kind: driver.OpDelete, Key: "gone"},
		{Kind: driver.OpDelete, Key: "missing"},
	})
	<-trap.Sprung()
	for i, code := range []fairlead.Code{0, fairlead.Unavailable, 0, 0} {
		if fairlead.CodeOf(r[i].Err) != code {
			t.Errorf("operation %d: %v; want %v", i, r[i].Err, code)
		}
	}
	if got := doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "new"}); got.Revision != r[0].Revision {
		t.Errorf("the store holds %+v; the write returned %+v", got, r[0])
	}
}

func TestLostReplyOfATxnIsFound(t *testing.T) {
	_, proxy, u := proxied(t)
	s := openStore(t, open(t, u), "lost")
	if _, err := s.Txn(t.Context(), driver.Txn{}); err != nil { // the server knows the script now
		t.Fatal(err)
	}
	trap := proxy.SwallowReply([]byte("swallow"))
	rev, err := s.Txn(t.Context(), driver.Txn{Conditions: []driver.Condition{{Key: "k"}},
		Writes: []driver.Op{{Kind: driver.OpPut, Key: "k", Value: []byte("swallow")}}})
	<-trap.Sprung()
	if got := doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}); err != nil || got.Revision != rev {
		t.Errorf("the store holds %+v; the transaction returned %q, %v", got, rev, err)
	}
}

// If a write lost a race and its reply was lost, the caller must get neither a
// success nor a conflict with its own write.
func TestLostReplyOfAConflictIsNotApplied(t *testing.T) {
	_, proxy, u := proxied(t)
	s := openStore(t, open(t, u), "lost")
	mustPut(t, s, "k", "1", 0)
	trap := proxy.SwallowReply([]byte("swallow"))
	r := doOne(t, s, driver.Op{Kind: driver.OpCreate, Key: "k", Value: []byte("swallow")})
	<-trap.Sprung()
	check.Code(t, r.Err, fairlead.Unavailable)
	wantValue(t, s, "k", "1")
}

func TestWritesToAnUnreachableServerAreUnavailable(t *testing.T) {
	_, proxy, u := proxied(t)
	s := openStore(t, open(t, u), "down")
	if err := proxy.Refuse(); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	var r driver.Result
	check.Eventually(t, "an Unavailable error", func() bool {
		start := time.Now()
		r = doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		return fairlead.CodeOf(r.Err) == fairlead.Unavailable
	})
	if !strings.Contains(r.Err.Error(), proxy.Addr()) {
		t.Errorf("the error does not name the server: %v", r.Err)
	}
	if err := proxy.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "k", "1", 0)
}

// fillPool makes the pool hold several connections, so that a call need not
// connect first.
func fillPool(t *testing.T, s driver.Store) {
	t.Helper()
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			for range 100 {
				s.Do(t.Context(), []driver.Op{{Kind: driver.OpGet, Key: "k"}})
			}
		})
	}
	calls.Wait()
}

func TestEveryCallEndsWithItsContextWhileTheServerHangs(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL()+"?read-timeout=1m&write-timeout=1m")
	s := openStore(t, p, "hang")
	w := watch(t, s, driver.WatchRequest{})
	fillPool(t, s)
	do := func(kind driver.OpKind) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.Do(ctx, []driver.Op{{Kind: kind, Key: "k"}})[0].Err
		}
	}
	calls := map[string]struct {
		f     func(context.Context) error
		write bool
	}{
		"get": {do(driver.OpGet), false},
		"put": {do(driver.OpPut), true},
		"txn": {func(ctx context.Context) error {
			_, err := s.Txn(ctx, driver.Txn{Writes: []driver.Op{{Kind: driver.OpPut, Key: "k"}}})
			return err
		}, true},
		"list": {func(ctx context.Context) error {
			_, err := s.List(ctx, driver.ListRequest{Limit: 1})
			return err
		}, false},
		"next": {func(ctx context.Context) error {
			_, err := w.Next(ctx)
			return err
		}, false},
		"open": {func(ctx context.Context) error {
			_, err := fairlead.Open(ctx, server.URL()+"?dial-timeout=1m&read-timeout=1m")
			return err
		}, false},
	}
	if err := server.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range calls {
		for _, ending := range []fairlead.Code{fairlead.Canceled, fairlead.DeadlineExceeded} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if ending == fairlead.Canceled {
				cancel()
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			start := time.Now()
			err := c.f(ctx)
			cancel()
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s, %v: ended after %v", name, ending, took)
			}
			want := ending
			if c.write {
				want = fairlead.UnknownOutcome
			}
			if fairlead.CodeOf(err) != want {
				t.Errorf("%s, %v: %v; want %v", name, ending, err, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check.Code(t, do(driver.OpPut)(ctx), fairlead.Canceled) // the write was not sent
	if err := server.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "k", "after", 0)
}

func TestAWriteThatTimesOutIsUnknown(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()+"?read-timeout=100ms"), "hang")
	fillPool(t, s)
	if err := server.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err, fairlead.UnknownOutcome)
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.Unavailable)
	if err := server.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "a successful write", func() bool {
		return doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err == nil
	})
}

func TestScriptsAreLoadedAfterARestart(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()), "scripts")
	mustPut(t, s, "k", "1", 0)
	if err := testbed.RedisClient(t, server).ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "k", "2", 0)
	wantValue(t, s, "k", "2")
}

func TestOpenErrors(t *testing.T) {
	locked := testbed.Redis(t, testbed.RedisPassword("s3cret"))
	dead, secure, group := testbed.Redis(t), testbed.Redis(t, testbed.RedisTLS(false)), testbed.Sentinel(t)
	demanding := testbed.Redis(t, testbed.RedisTLS(true))
	if err := dead.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAIRLEAD_TEST_EMPTY", "")
	for name, c := range map[string]struct {
		url  string
		code fairlead.Code
		says []string
	}{
		"no server":            {dead.URL(), fairlead.Unavailable, []string{dead.Addr(), "cannot connect"}},
		"no password":          {locked.URL(), fairlead.PermissionDenied, []string{"password-env", "password-file", "user:password@"}},
		"wrong password":       {locked.URLFor("", "wr0ng"), fairlead.PermissionDenied, []string{"user or the password"}},
		"wrong user":           {locked.URLFor("nobody", "wr0ng"), fairlead.PermissionDenied, nil},
		"no host":              {"redis://", fairlead.Invalid, []string{"no host"}},
		"not a database":       {"redis://h/x", fairlead.Invalid, []string{"number of the database"}},
		"unknown mode":         {"redis://h?mode=ring", fairlead.Invalid, []string{"mode", "sentinel"}},
		"sentinel, no master":  {"redis://h?mode=sentinel", fairlead.Invalid, []string{"master-name"}},
		"standalone, hosts":    {"redis://h,i?mode=standalone", fairlead.Invalid, []string{"one host"}},
		"cluster, database":    {"redis://h,i/3", fairlead.Invalid, []string{"database 0"}},
		"TLS without rediss":   {"redis://h?server-name=x", fairlead.Invalid, []string{"rediss://"}},
		"certificate, no key":  {"rediss://h?cert-file=fault_test.go", fairlead.Invalid, []string{"key-file"}},
		"bad certificate":      {"rediss://h?ca-file=fault_test.go", fairlead.Invalid, []string{"no certificate"}},
		"brace in prefix":      {"redis://h?prefix={a}", fairlead.Invalid, []string{"prefix"}},
		"empty env":            {"redis://h?password-env=FAIRLEAD_TEST_EMPTY", fairlead.Invalid, []string{"password-env"}},
		"sentinel env missing": {"redis://h?master-name=m&sentinel-password-env=FAIRLEAD_TEST_EMPTY", fairlead.Invalid, []string{"sentinel-password-env"}},
		"user, no password":    {"redis://me@h", fairlead.Invalid, []string{"password-env"}},
		"rediss, plain port":   {strings.Replace(locked.URL(), "redis:", "rediss:", 1), fairlead.Unavailable, []string{"does not speak TLS", "redis://"}},
		"redis, TLS port":      {strings.Replace(secure.URL(), "rediss:", "redis:", 1), fairlead.Unavailable, []string{"rediss://"}},
		"no client cert":       {demanding.URL() + "?ca-file=" + url.QueryEscape(demanding.Certificates().CA), fairlead.Unavailable, []string{"certificate required", "cert-file"}},
		"no Sentinel":          {locked.URLFor("", "s3cret") + "?master-name=m", fairlead.Invalid, []string{"not a Sentinel", "master-name"}},
		"unknown primary":      {"redis://" + strings.Join(group.Addrs(), ",") + "?master-name=wrong", fairlead.Invalid, []string{"\"wrong\"", "master-name"}},
		"cluster wanted":       {dead.URL() + "?mode=cluster", fairlead.Unavailable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := fairlead.Open(t.Context(), c.url)
			check.Code(t, err, c.code)
			for _, word := range c.says {
				if !strings.Contains(fmt.Sprint(err), word) {
					t.Errorf("the error %v does not contain %q", err, word)
				}
			}
			if strings.Contains(fmt.Sprint(err), "wr0ng") {
				t.Errorf("the error shows the password: %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// The Sentinels' password is looked up with the program's function, like the
// servers' password: a plugin does not have the environment of the program.
func TestSentinelPasswordIsLookedUp(t *testing.T) {
	const url = "redis://127.0.0.1:1?master-name=m&sentinel-password-env=FAIRLEAD_TEST_ELSEWHERE"
	_, err := fairlead.Open(t.Context(), url, fairlead.WithLookupEnv(func(name string) (string, bool) {
		return "secret", name == "FAIRLEAD_TEST_ELSEWHERE"
	}))
	check.Code(t, err, fairlead.Unavailable) // no server listens on that address
}

func TestUnsuitableServers(t *testing.T) {
	primary := testbed.Redis(t)
	replica := testbed.Redis(t, testbed.RedisConf("replicaof "+strings.ReplaceAll(primary.Addr(), ":", " ")))
	_, err := fairlead.Open(t.Context(), replica.URL())
	check.Code(t, err, fairlead.Unavailable)
	_, err = fairlead.Open(t.Context(), primary.URL()+"?mode=cluster")
	if err == nil {
		t.Error("opened a standalone server as a cluster")
	}
	t.Log(err)
	u, _ := url.Parse(primary.URL())
	_, err = fairlead.Open(t.Context(), "redis://"+u.Host+"/99")
	check.Code(t, err, fairlead.Invalid)
}
