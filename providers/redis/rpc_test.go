package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc/driver"
)

func nextEndpoints(t *testing.T, w driver.EndpointWatcher, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		got, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == want {
			return
		}
	}
}

func TestLeastPermissionsOfRPC(t *testing.T) {
	server := startForLeastUser(t, "every facet", "rpc")
	p := open(t, server.URLFor("least", "pw")).(driver.Directory)
	w, err := p.WatchEndpoints(t.Context(), driver.WatchConfig{Service: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 0)
	r, err := p.Register(t.Context(), driver.RegisterConfig{Service: "echo", Endpoint: driver.Endpoint{Address: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 1)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 0)
	check.Code(t, r.Keep(t.Context()), fairlead.Closed)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.Next(t.Context())
	check.Code(t, err, fairlead.Closed)
}

// While the server is away, Next and Keep report it after some retries, and can
// be called again.
func TestRPCWhileTheServerIsAway(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL()).(driver.Directory)
	r, err := p.Register(t.Context(), driver.RegisterConfig{Service: "echo", Endpoint: driver.Endpoint{Address: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.WatchEndpoints(t.Context(), driver.WatchConfig{Service: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 1)
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.Next(t.Context())
	check.Code(t, err, fairlead.Unavailable)
	check.Code(t, r.Keep(t.Context()), fairlead.Unavailable)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 0)
}

// A registration that was given up while it was on its way is taken back, long before
// its lease ends. So is one whose Close was given up.
func TestGivenUpRegistrationIsTakenBack(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL()+"?rpc-lease=1h").(driver.Directory)
	register := func(ctx context.Context, address string) (driver.Registration, error) {
		return p.Register(ctx, driver.RegisterConfig{Service: "echo", Endpoint: driver.Endpoint{Address: address}})
	}
	kept, err := register(t.Context(), "127.0.0.1:1")
	check.NoError(t, err)
	closed, err := register(t.Context(), "127.0.0.1:2")
	check.NoError(t, err)
	scripts := func() string {
		_, stat, _ := strings.Cut(c.Info(t.Context(), "commandstats").Val(), "cmdstat_evalsha:")
		calls, _, _ := strings.Cut(stat, ",")
		return calls
	}
	if got := scripts(); got != "calls=2" && got != "calls=3" { // one is answered with NOSCRIPT
		t.Fatalf("%s before", got)
	}
	check.NoError(t, c.ConfigResetStat(t.Context()).Err())
	check.NoError(t, server.Pause(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = register(ctx, "127.0.0.1:3")
	check.Code(t, err, fairlead.DeadlineExceeded)
	check.Code(t, closed.Close(ctx), fairlead.DeadlineExceeded)
	check.NoError(t, server.Continue(t.Context()))
	// The registration and two ends are there, and the Close if it was sent.
	check.Eventually(t, "all to be carried out", func() bool { return scripts() >= "calls=3" })
	check.Eventually(t, "only the first address to stay", func() bool {
		return c.ZCard(t.Context(), "fairlead:rpc:{echo}:leases").Val() == 1
	})
	w, err := p.WatchEndpoints(t.Context(), driver.WatchConfig{Service: "echo"})
	check.NoError(t, err)
	nextEndpoints(t, w, 1)
	check.NoError(t, kept.Close(t.Context()))
}

// TestServiceLeavesNothing: when its last server is gone, the keys of a service end
// within minutes.
func TestServiceLeavesNothing(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	p, err := fairlead.Open(t.Context(), server.URL())
	check.NoError(t, err)
	defer p.Close(context.Background())
	r, err := p.(driver.Directory).Register(t.Context(), driver.RegisterConfig{Service: "echo", Endpoint: driver.Endpoint{Address: "127.0.0.1:1"}})
	check.NoError(t, err)
	check.NoError(t, r.Close(t.Context()))
	keys, err := c.Keys(t.Context(), "fairlead:rpc:*").Result()
	check.NoError(t, err)
	if len(keys) == 0 {
		t.Fatal("there are no keys: the test shows nothing")
	}
	for _, key := range keys {
		if ttl := c.PTTL(t.Context(), key).Val(); ttl < 0 || ttl > 2*time.Minute {
			t.Errorf("the key %s ends in %v", key, ttl)
		}
	}
}
