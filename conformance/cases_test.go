package conformance

import (
	"slices"
	"testing"

	"fairlead.dev"
)

// TestCasesAreWhole guards the lists of cases against copies and gaps.
func TestCasesAreWhole(t *testing.T) {
	facets := append(fairlead.Facets(), Opening)
	seen := map[string]bool{}
	for _, c := range allCases() {
		if seen[c.Name] {
			t.Errorf("two cases are named %q", c.Name)
		}
		seen[c.Name] = true
		if c.Rule == "" || c.Run == nil || !slices.Contains(facets, c.Facet()) {
			t.Errorf("case %q: the rule or the function is missing, or the name does not begin with a facet", c.Name)
		}
	}
}
