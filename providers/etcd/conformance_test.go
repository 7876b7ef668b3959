package etcd_test

import (
	"context"
	"regexp"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/etcd"
)

func opener(url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) }
}

// TestConformance runs the whole suite on one server that is killed and started
// again during the run, and demands that every claim is proven.
func TestConformance(t *testing.T) {
	server := testbed.Etcd(t)
	report := conformance.Test(t, opener(server.URL()), conformance.WithControl(server), conformance.WithOperator(operator{etcdClient(t, server)}))
	wantProven(t, report)
	wantClaim(t, report, fairlead.DurableFsync, conformance.Proven)
	wantClaim(t, report, fairlead.DurableQuorum, conformance.NotClaimed)
}

// TestConformanceFull runs the cases that fill the server.
func TestConformanceFull(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdQuota(16<<20))
	conformance.Test(t, opener(server.URL()), conformance.WithFiller(server), conformance.WithTransport("full"),
		conformance.WithMatch(regexp.MustCompile("/full($|-)")))
}

// TestConformanceCluster runs the suite on three members, which are killed at once.
// The facets that are left out are built on kv, and do not depend on members.
func TestConformanceCluster(t *testing.T) {
	cluster := testbed.EtcdCluster(t, 3)
	report := conformance.Test(t, opener(cluster.URL()), conformance.WithControl(cluster), conformance.WithTransport("cluster"),
		conformance.WithFacets(conformance.Opening, fairlead.KV, fairlead.PubSub))
	wantProven(t, report)
	wantClaim(t, report, fairlead.DurableQuorum, conformance.Proven)
}

// TestConformanceNoFsync shows that a server that does not fsync conforms too,
// since it claims less.
func TestConformanceNoFsync(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdArgs("--unsafe-no-fsync"))
	report := conformance.Test(t, opener(server.URL()), conformance.WithProfile(conformance.Quick), conformance.WithTransport("no-fsync"),
		conformance.WithFacets(fairlead.KV))
	wantClaim(t, report, fairlead.DurableFsync, conformance.NotClaimed)
}

func wantProven(t *testing.T, r *conformance.Report) {
	t.Helper()
	for _, c := range r.Claims {
		if c.Verdict == conformance.Unproven {
			t.Errorf("%s: %s is claimed and unproven: %s", c.Facet, c.Claim, c.Reason)
		}
	}
}

func wantClaim(t *testing.T, r *conformance.Report, claim fairlead.Claim, want conformance.Verdict) {
	t.Helper()
	for _, c := range r.Claims {
		if c.Facet == fairlead.KV && c.Claim == claim && c.Verdict != want {
			t.Errorf("%s: %s is %s, want %s: %s %v", c.Facet, claim, c.Verdict, want, c.Reason, c.Cases)
		}
	}
}
