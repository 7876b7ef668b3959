package redis_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/redis"
)

// TestConformance runs the whole suite on a server that the suite kills and
// starts, and requires that every claim is tried and nothing of the run is left.
func TestConformance(t *testing.T) {
	server := testbed.Redis(t)
	before := testbed.Content(t, server)
	report := conformance.Test(t, checkreport.Opener(server.URL()), conformance.WithControl(server), conformance.WithOperator(operator{testbed.RedisClient(t, server)}))
	testbed.WantContent(t, server, before)
	checkreport.Tried(t, report)
	checkreport.Verdict(t, report, fairlead.DurableFsync, conformance.SurvivedKills)
}

// TestConformanceFull runs the cases that fill the server.
func TestConformanceFull(t *testing.T) {
	server := testbed.Redis(t)
	conformance.Test(t, checkreport.Opener(server.URL()), conformance.WithFiller(server), conformance.WithTransport("full"),
		conformance.WithMatch(regexp.MustCompile("/full($|-)")))
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
	conformance.Test(t, checkreport.Opener(url), conformance.WithProfile(conformance.Quick), conformance.WithTransport("sentinel"))
}

func TestConformanceCluster(t *testing.T) {
	cluster := testbed.Cluster(t, false, testbed.RedisConf("cluster-node-timeout 15000")) // Redis' default
	url := "redis://" + strings.Join(cluster.Addrs(), ",")
	conformance.Test(t, checkreport.Opener(url), conformance.WithProfile(conformance.Quick), conformance.WithTransport("cluster"))
}
