package redis_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/redis"
)

func opener(url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) }
}

// TestConformance runs the whole suite on a server that the suite kills and
// starts, and requires that every claim is proven.
func TestConformance(t *testing.T) {
	server := testbed.Redis(t)
	report := conformance.Test(t, opener(server.URL()), conformance.WithControl(server), conformance.WithOperator(operator{testbed.RedisClient(t, server)}))
	for _, c := range report.Claims {
		if c.Verdict == conformance.Unproven {
			t.Errorf("%s: %s is claimed and unproven: %s", c.Facet, c.Claim, c.Reason)
		}
	}
	wantClaim(t, report, fairlead.DurableFsync, conformance.Proven)
}

// TestConformanceFull runs the cases that fill the server.
func TestConformanceFull(t *testing.T) {
	server := testbed.Redis(t)
	conformance.Test(t, opener(server.URL()), conformance.WithFiller(server), conformance.WithTransport("full"),
		conformance.WithMatch(regexp.MustCompile("/full($|-)")))
}

// TestConformanceEverysec shows that a provider on a server that calls fsync late
// conforms too, because it claims less.
func TestConformanceEverysec(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("appendfsync everysec"))
	report := conformance.Test(t, opener(server.URL()), conformance.WithProfile(conformance.Quick),
		conformance.WithFacets(fairlead.KV))
	wantClaim(t, report, fairlead.DurableFsync, conformance.NotClaimed)
}

// TestConformanceSentinel and TestConformanceCluster are about servers without
// failures. Long timeouts prevent a failover on a busy machine.
func TestConformanceSentinel(t *testing.T) {
	group := testbed.Sentinel(t)
	for _, sentinel := range group.Sentinels {
		err := sentinel.Do(t.Context(), func(ctx context.Context, r *goredis.Client) error {
			return r.Do(ctx, "sentinel", "set", testbed.SentinelMasterName, "down-after-milliseconds", 30_000).Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	url := "redis://" + strings.Join(group.Addrs(), ",") + "?master-name=" + testbed.SentinelMasterName
	conformance.Test(t, opener(url), conformance.WithProfile(conformance.Quick), conformance.WithTransport("sentinel"))
}

func TestConformanceCluster(t *testing.T) {
	cluster := testbed.Cluster(t, false, testbed.RedisConf("cluster-node-timeout 15000")) // Redis' default
	url := "redis://" + strings.Join(cluster.Addrs(), ",")
	conformance.Test(t, opener(url), conformance.WithProfile(conformance.Quick), conformance.WithTransport("cluster"))
}

func wantClaim(t *testing.T, r *conformance.Report, claim fairlead.Claim, want conformance.Verdict) {
	t.Helper()
	for _, c := range r.Claims {
		if c.Claim == claim && c.Verdict != want {
			t.Errorf("%s: %s is %s, want %s: %s %v", c.Facet, claim, c.Verdict, want, c.Reason, c.Cases)
		}
	}
}
