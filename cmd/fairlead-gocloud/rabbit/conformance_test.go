package rabbit_test

import (
	"context"
	"testing"

	"fairlead.dev"
	_ "fairlead.dev/cmd/fairlead-gocloud/rabbit"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/testbed"
)

// TestConformance runs the full suite against a real broker. The suite kills the
// broker and starts it again.
func TestConformance(t *testing.T) {
	s := testbed.Rabbit(t)
	url := "gocloud+rabbit://" + s.Addr() + "?durable=fsync"
	report, err := conformance.Run(t.Context(), func(ctx context.Context) (fairlead.Provider, error) {
		return fairlead.Open(ctx, url)
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
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	for _, c := range report.Claims {
		if c.Verdict == conformance.Refuted || c.Verdict == conformance.NotTried && c.Claim != fairlead.DurableFsync {
			t.Errorf("%s is %s: %s", c.Claim, c.Verdict, c.Evidence())
		}
	}
	// The suite leaves exchanges and queues: AMQP cannot list them, so Manage is not
	// claimed.
	t.Logf("fairlead-provider-ran: %s-rabbit %s cases=%d", report.Provider, report.Transport, ran)
}
