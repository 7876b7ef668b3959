package redis_test

import (
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
	rpc "fairlead.dev/rpc/driver"
)

// TestCleanRemovesWhatNoFacetLists leaves on the server what no list of names has, and
// keys of others that look like it.
func TestCleanRemovesWhatNoFacetLists(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL()+"?prefix=my*app")
	for _, foreign := range []string{"myXapp:rpc:{gone-a}:leases", "my*app:kv:{users}:k:x:{gone-a}", "my*app:rpc:{go}:leases", "gone-a"} {
		check.NoError(t, c.Set(t.Context(), foreign, "v", 0).Err())
	}
	mustPut(t, openStore(t, p, "users"), "k", "v", 0)
	before := testbed.Content(t, server)

	check.NoError(t, c.Set(t.Context(), "my*app:kv:{gone-a}:fence", "v", 0).Err())
	_, err := p.(rpc.Directory).Register(t.Context(), rpc.RegisterConfig{Service: "gone-b", Endpoint: rpc.Endpoint{Address: "127.0.0.1:1"}})
	check.NoError(t, err)
	_, err = p.(driver.Provider).OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "gone-c", Group: "g", AckDeadline: time.Minute})
	check.NoError(t, err)
	check.NoError(t, c.Del(t.Context(), "my*app:ps:{gone-c}:stream").Err()) // as another program

	removed, err := p.(providers.Cleaner).Clean(t.Context(), "gone-")
	check.NoError(t, err)
	if want := []string{"kv gone-a", "pubsub gone-c", "rpc gone-b"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	testbed.WantContent(t, server, before)
}

// TestCleanOfACluster removes keys of several nodes.
func TestCleanOfACluster(t *testing.T) {
	cluster := testbed.Cluster(t, false)
	p := open(t, "redis://"+cluster.Addrs()[0])
	var client goredis.UniversalClient
	if !fairlead.As(p, &client) {
		t.Fatal("no client")
	}
	names := []string{"rpc gone-1", "rpc gone-2", "rpc gone-3", "rpc gone-4", "rpc gone-5"}
	for _, name := range names {
		check.NoError(t, client.Set(t.Context(), "fairlead:rpc:{"+name[len("rpc "):]+"}:changes", "v", 0).Err())
	}
	removed, err := p.(providers.Cleaner).Clean(t.Context(), "gone-")
	check.NoError(t, err)
	if !slices.Equal(removed, names) {
		t.Errorf("removed %q, want %q", removed, names)
	}
}
