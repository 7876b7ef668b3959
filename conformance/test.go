package conformance

import (
	"testing"
)

// Test runs the suite as subtests of t, one for each case. Cases that do not
// apply are not shown; the last log line says how many ran.
func Test(t *testing.T, open Opener, opts ...Option) *Report {
	t.Helper()
	report, err := Run(t.Context(), open, opts...)
	if err != nil {
		t.Fatalf("the provider under test cannot be opened: %v", err)
	}
	ran := 0
	for _, res := range report.Results {
		if res.Outcome == NotRun {
			continue
		}
		if res.Ran() {
			ran++
		}
		t.Run(res.Case, func(t *testing.T) { logResult(t, res) })
	}
	if ran == 0 || report.Interrupted {
		t.Error(report.Err())
	}
	for _, left := range report.Leftovers {
		if report.Unmanaged {
			t.Logf("left on the backend: %s", left)
		} else {
			t.Errorf("left on the backend: %s", left)
		}
	}
	t.Logf("fairlead-provider-ran: %s %s cases=%d", report.Provider, report.Transport, ran)
	return report
}

// logResult logs a result, and fails t if the result is bad, or if there is none.
func logResult(t *testing.T, res Result) {
	for _, line := range res.Logs {
		t.Log(line)
	}
	for _, failure := range res.Failures {
		if res.Bad() {
			t.Error(failure)
		} else {
			t.Log("known:", failure)
		}
	}
	if res.Outcome == CouldNotRun || res.Outcome == Interrupted {
		t.Errorf("%s: %s", res.Outcome, res.Reason)
	}
	if res.Bad() {
		t.Logf("the rule: %s", res.Rule)
	}
}
