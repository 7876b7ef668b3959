package conformance

import (
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/configcases"
	"fairlead.dev/conformance/internal/kvcases"
	"fairlead.dev/conformance/internal/opencases"
	"fairlead.dev/conformance/internal/pubsubcases"
	"fairlead.dev/conformance/internal/rpccases"
	"fairlead.dev/conformance/internal/suite"
)

// Opening is the name under which the suite groups the cases of opening,
// describing and closing a provider, and of its errors. No description has a
// facet of this name.
const Opening fairlead.Facet = suite.Opening

// Profile says how much is run.
type Profile string

// The profiles.
const (
	Quick Profile = "quick" // without large and long cases; takes seconds
	Full  Profile = "full"  // all cases; takes some minutes
)

// Case is one rule that the suite tests.
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
	// Fill: the case fills the backend.
	Fill    bool
	Profile Profile // Quick: also run by Full
	RuleID  string  // see [Rule]
	Rule    string  // what must be so, in one line
	// Timeout bounds the case.
	Timeout time.Duration
}

// Cases returns all cases, ordered by facet and then as the suite runs them.
func Cases() []Case {
	var all []Case
	for _, c := range allCases() {
		all = append(all, describe(c))
	}
	return all
}

// allCases returns the cases of every facet.
func allCases() []suite.Case {
	all := slices.Concat(opencases.Cases(), kvcases.Cases(), pubsubcases.Cases(), rpccases.Cases(), configcases.Cases())
	order := []fairlead.Facet{Opening, fairlead.KV, fairlead.PubSub, fairlead.RPC, fairlead.Config}
	slices.SortStableFunc(all, func(a, b suite.Case) int {
		return slices.Index(order, a.Facet()) - slices.Index(order, b.Facet())
	})
	return all
}

func describe(c suite.Case) Case {
	profile := Quick
	if c.Full {
		profile = Full
	}
	return Case{
		Name: c.Name, Facet: c.Facet(), Needs: c.Needs, Lacks: c.Lacks, Control: c.Control, Fill: c.Fill,
		Profile: profile, RuleID: ruleID(c.Name), Rule: c.Rule, Timeout: c.Deadline(),
	}
}
