package rabbit_test

import (
	"context"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	_ "fairlead.dev/plugins/fairlead-gocloud/rabbit"
	"fairlead.dev/providers"
)

// TestConformance runs the full suite against a real broker, which it kills
// and starts.
func TestConformance(t *testing.T) {
	s := testbed.Rabbit(t)
	url := "gocloud+rabbit://" + s.Addr() + "?durable=fsync"
	report, err := conformance.Run(t.Context(), func(ctx context.Context) (providers.Provider, error) {
		return providers.Open(ctx, url)
	}, conformance.WithControl(s))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, r := range report.Results {
		if !r.Ran() {
			continue
		}
		ran++
		t.Run(r.Case, func(t *testing.T) {
			if r.Bad() {
				t.Error(r.Failures)
			}
			t.Log(r.Rule)
		})
	}
	for _, c := range report.Claims {
		if c.Verdict == conformance.Refuted || c.Verdict == conformance.Unproven && c.Claim != providers.DurableFsync {
			t.Errorf("%s is %s: %s", c.Claim, c.Verdict, c.Reason)
		}
	}
	// Exchanges and queues are left: AMQP cannot list them, and so Manage is
	// not claimed.
	t.Logf("fairlead-provider-ran: %s-rabbit %s cases=%d", report.Provider, report.Transport, ran)
}
