package conformance

import (
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// Test runs the suite as subtests of t, one for each case. A case runs inside of its
// subtest, so the flags of go test select cases, and a subtest shows its own time and
// log lines:
//
//	go test -v -run '^TestConformance$/^kv$/^list-pages$'
//
// As many subtests run at once as [WithParallel] says, whatever the flag -parallel is.
// Cases that do not apply are not shown; the last log line says how many ran. A run
// from which the flags leave out cases does not fail for those.
func Test(t *testing.T, open Opener, opts ...Option) *Report {
	t.Helper()
	report, err := runAround(t.Context(), open, func(name string, run func(func(string)) Result) {
		t.Run(name, func(t *testing.T) {
			logResult(t, run(func(line string) { t.Log(line) }))
		})
	}, opts)
	if err != nil {
		t.Fatalf("the provider under test cannot be opened: %v", err)
	}
	ran := 0
	for _, res := range report.Results {
		if res.Ran() {
			ran++
		}
	}
	if ran == 0 && !report.Filtered() || report.Interrupted {
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

// Filtered reports whether the flags of go test left out cases that apply. The report
// then says less about the claims than one of a whole run.
func (r *Report) Filtered() bool {
	return slices.ContainsFunc(r.Results, func(res Result) bool { return res.Reason == notSelected })
}

// logResult fails t if the result is bad, or if there is none, and then says how to
// repeat the case. The log lines of the case were logged while it ran.
func logResult(t *testing.T, res Result) {
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
	if t.Failed() {
		t.Logf("the rule: %s: %s", res.RuleID, res.Rule)
		t.Logf("to repeat this case: %s", testCommand(t.Name()))
	}
}

// testCommand returns the command that runs one subtest.
func testCommand(name string) string {
	elements := strings.Split(name, "/")
	for i, e := range elements {
		elements[i] = "^" + regexp.QuoteMeta(e) + "$"
	}
	return "go test -v -count=1 -run '" + strings.Join(elements, "/") + "' " + testedPackage()
}

// testedPackage returns the import path of the package whose test binary runs.
func testedPackage() string {
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasSuffix(info.Path, ".test") {
		return strings.TrimSuffix(info.Path, ".test")
	}
	return "."
}
