package nats_test

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/nats"
)

func opener(url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) }
}

// TestConformance runs the whole suite on a server that is killed and started
// again during the run, and demands that every claim is proven.
func TestConformance(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSSync("always"))
	report := conformance.Test(t, opener(server.URL()+"?monitor="+server.MonitorURL()), conformance.WithControl(server), conformance.WithOperator(newOperator(t, server)))
	wantProven(t, report)
	wantClaim(t, report, fairlead.DurableFsync, conformance.Proven)
}

// TestConformanceDefault shows that a server which syncs late conforms too,
// since it claims less.
func TestConformanceDefault(t *testing.T) {
	server := testbed.NATS(t)
	report := conformance.Test(t, opener(server.URL()), conformance.WithProfile(conformance.Quick),
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
		if c.Claim == claim && c.Verdict != want {
			t.Errorf("%s: %s is %s, want %s: %s %v", c.Facet, claim, c.Verdict, want, c.Reason, c.Cases)
		}
	}
}
