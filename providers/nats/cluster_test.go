package nats_test

import (
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

func clusterURL(g *testbed.NATSGroup) string {
	return g.URL() + "?replicas=3&monitor=" + strings.Join(g.MonitorURLs(), ",")
}

// TestConformanceCluster runs the suite on three servers with three replicas of
// everything. All servers are killed during the run. The config facet is left out,
// since it uses kv. The rpc facet runs without kills: a kill of all servers ends
// calls just as the kill of a single server does.
func TestConformanceCluster(t *testing.T) {
	group := testbed.NATSCluster(t, 3, testbed.NATSSync("always"))
	report := conformance.Test(t, checkreport.Opener(clusterURL(group)),
		conformance.WithControl(group), conformance.WithTransport("cluster"),
		conformance.WithFacets(conformance.Opening, fairlead.KV, fairlead.PubSub))
	checkreport.Tried(t, report)
	checkreport.Verdict(t, report, fairlead.DurableQuorum, conformance.SurvivedKills)
	conformance.Test(t, checkreport.Opener(clusterURL(group)), conformance.WithTransport("cluster"),
		conformance.WithProfile(conformance.Quick), conformance.WithFacets(fairlead.RPC))
}
