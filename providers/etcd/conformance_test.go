package etcd_test

import (
	"context"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/etcd"
)

func opener(url string) conformance.Opener {
	return func(ctx context.Context) (providers.Provider, error) { return providers.Open(ctx, url) }
}

// TestConformance runs the whole suite on one server that is killed and started
// on the way, and demands that every claim is proven.
func TestConformance(t *testing.T) {
	server := testbed.Etcd(t)
	report := conformance.Test(t, opener(server.URL()), conformance.WithControl(server))
	wantProven(t, report)
	wantClaim(t, report, providers.DurableFsync, conformance.Proven)
	wantClaim(t, report, providers.DurableQuorum, conformance.NotClaimed)
}

// TestConformanceCluster does so on three members, which are killed at once. The
// other facets are made of kv, and know nothing of members.
func TestConformanceCluster(t *testing.T) {
	cluster := testbed.EtcdCluster(t, 3)
	report := conformance.Test(t, opener(cluster.URL()), conformance.WithControl(cluster), conformance.WithTransport("cluster"),
		conformance.WithFacets(conformance.Opening, providers.KV, providers.PubSub))
	wantProven(t, report)
	wantClaim(t, report, providers.DurableQuorum, conformance.Proven)
}

// TestConformanceNoFsync shows that a server that does not fsync conforms too,
// since it claims less.
func TestConformanceNoFsync(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdArgs("--unsafe-no-fsync"))
	report := conformance.Test(t, opener(server.URL()), conformance.WithProfile(conformance.Quick), conformance.WithTransport("no-fsync"),
		conformance.WithFacets(providers.KV))
	wantClaim(t, report, providers.DurableFsync, conformance.NotClaimed)
}

func wantProven(t *testing.T, r *conformance.Report) {
	t.Helper()
	for _, c := range r.Claims {
		if c.Verdict == conformance.Unproven {
			t.Errorf("%s: %s is claimed and unproven: %s", c.Facet, c.Claim, c.Reason)
		}
	}
}

func wantClaim(t *testing.T, r *conformance.Report, claim providers.Claim, want conformance.Verdict) {
	t.Helper()
	for _, c := range r.Claims {
		if c.Facet == providers.KV && c.Claim == claim && c.Verdict != want {
			t.Errorf("%s: %s is %s, want %s: %s %v", c.Facet, claim, c.Verdict, want, c.Reason, c.Cases)
		}
	}
}
