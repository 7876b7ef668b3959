package conformance

import (
	"slices"
	"strings"
	"time"

	"fairlead.dev"
)

// Opening is the facet, for the suite's purposes, of opening, describing,
// closing and erring.
const Opening fairlead.Facet = "open"

// Profile says how much is run.
type Profile string

// The profiles.
const (
	Quick Profile = "quick" // seconds; without what is large or takes long
	Full  Profile = "full"  // everything, up to some minutes
)

// Case is one rule and how it is tested.
type Case struct {
	Name  string         // "kv/put-get": the facet and what is tested
	Facet fairlead.Facet // which must be offered, except for Opening
	// Needs are the claims that must hold. A case that proves claims needs
	// them all.
	Needs []fairlead.Claim
	// Lacks is a claim that must not hold: the case tests its absence.
	Lacks fairlead.Claim
	// Control: the case kills, stops or starts the backend.
	Control bool
	Profile Profile // Quick: also run by Full; empty means Quick
	Rule    string  // what must be so, in one line
	// Timeout bounds the case; 0 means DefaultTimeout.
	Timeout time.Duration
	Run     func(t *T)
}

// DefaultTimeout bounds a case that names no other bound.
const DefaultTimeout = time.Minute

// suites are filled by the files that hold the cases.
var suites [][]Case

// Cases returns all cases, ordered by facet and then as the suite runs them.
func Cases() []Case {
	all := slices.Concat(suites...)
	order := []fairlead.Facet{Opening, fairlead.KV, fairlead.PubSub, fairlead.RPC, fairlead.Config}
	slices.SortStableFunc(all, func(a, b Case) int {
		return slices.Index(order, a.Facet) - slices.Index(order, b.Facet)
	})
	return all
}

// applies reports whether the case is to be run on what d describes, and the
// reason if not.
func (c Case) applies(d fairlead.FacetDescription, o options) (bool, string) {
	var missing []string
	for _, claim := range c.Needs {
		if !d.Has(claim) {
			missing = append(missing, string(claim))
		}
	}
	switch {
	case len(missing) > 0:
		return false, "not claimed: " + strings.Join(missing, ", ")
	case c.Lacks != "" && d.Has(c.Lacks):
		return false, "claimed: " + string(c.Lacks)
	case c.Profile == Full && o.profile == Quick:
		return false, "not in profile quick"
	case c.Control && o.control == nil:
		return false, "needs control of the backend"
	}
	return true, ""
}
