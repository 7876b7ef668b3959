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

// Tried fails the test if no rule of a claim was tried, or if the backend was not killed
// for a claim of durability. It leaves out the given facets, and demands nothing of a
// report from which -run left out cases.
func Tried(t testing.TB, r *conformance.Report, except ...fairlead.Facet) {
	t.Helper()
	if r.Filtered() {
		return
	}
	for _, c := range r.Claims {
		if isUntried(c) && !slices.Contains(except, c.Facet) {
			t.Errorf("%s: %s is claimed, and was not tried: %s", c.Facet, c.Claim, c.Evidence())
		}
	}
}

func isUntried(c conformance.ClaimResult) bool {
	switch c.Verdict {
	case conformance.NotTried, conformance.VerifiedInSettings:
		return true
	case conformance.AssertedByOperator:
		return c.Kills == 0
	}
	return false
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
			t.Errorf("%s: %s is %s, want %s: %s", c.Facet, claim, c.Verdict, want, c.Evidence())
		}
	}
}
