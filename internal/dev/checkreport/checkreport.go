// Package checkreport holds what the tests of providers share around a run of the
// conformance suite.
package checkreport

import (
	"context"
	"slices"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// Opener returns an opener of the provider that the URL names.
func Opener(url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) { return fairlead.Open(ctx, url) }
}

// Proven fails the test if a claim is not proven. It leaves out the given facets, and
// demands nothing of a report from which -run left out cases.
func Proven(t testing.TB, r *conformance.Report, except ...fairlead.Facet) {
	t.Helper()
	if r.Filtered() {
		return
	}
	for _, c := range r.Claims {
		if c.Verdict == conformance.Unproven && !slices.Contains(except, c.Facet) {
			t.Errorf("%s: %s is claimed and unproven: %s", c.Facet, c.Claim, c.Reason)
		}
	}
}

// Verdict fails the test unless the claim has the verdict in every one of the given
// facets that has it, or in all facets if none is given. It demands nothing of a report
// from which -run left out cases.
func Verdict(t testing.TB, r *conformance.Report, claim fairlead.Claim, want conformance.Verdict, facets ...fairlead.Facet) {
	t.Helper()
	if r.Filtered() {
		return
	}
	for _, c := range r.Claims {
		if c.Claim == claim && c.Verdict != want && (len(facets) == 0 || slices.Contains(facets, c.Facet)) {
			t.Errorf("%s: %s is %s, want %s: %s %v", c.Facet, claim, c.Verdict, want, c.Reason, c.Cases)
		}
	}
}
