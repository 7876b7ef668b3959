package etcd_test

import (
	"regexp"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/etcd"
)

// TestConformance runs the whole suite on one server that is killed and started
// again during the run, and demands that every claim is tried,
// and that nothing of the run is left.
func TestConformance(t *testing.T) {
	server := testbed.Etcd(t)
	before := testbed.Content(t, server)
	report := conformance.Test(t, checkreport.Opener(server.URL()), conformance.WithControl(server), conformance.WithOperator(operator{etcdClient(t, server)}))
	testbed.WantContent(t, server, before)
	checkreport.Tried(t, report)
	checkreport.Verdict(t, report, fairlead.DurableFsync, conformance.SurvivedKills, fairlead.KV)
	checkreport.Verdict(t, report, fairlead.DurableQuorum, conformance.NotClaimed, fairlead.KV)
}

// TestConformanceFull runs the cases that fill the server.
func TestConformanceFull(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdQuota(16<<20))
	conformance.Test(t, checkreport.Opener(server.URL()), conformance.WithFiller(server), conformance.WithTransport("full"),
		conformance.WithMatch(regexp.MustCompile("/full($|-)")))
}

// TestConformanceCluster runs the suite on three members, which are killed at once.
// The facets that are left out are built on kv, and do not depend on members.
func TestConformanceCluster(t *testing.T) {
	cluster := testbed.EtcdCluster(t, 3)
	report := conformance.Test(t, checkreport.Opener(cluster.URL()), conformance.WithControl(cluster), conformance.WithTransport("cluster"),
		conformance.WithFacets(conformance.Opening, fairlead.KV, fairlead.PubSub))
	checkreport.Tried(t, report)
	checkreport.Verdict(t, report, fairlead.DurableQuorum, conformance.SurvivedKills, fairlead.KV)
}
