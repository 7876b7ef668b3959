package page

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// facetViews returns the facets that have results.
func facetViews(r *conformance.Report, results map[string]conformance.Result) []facetView {
	var all []facetView
	for _, f := range append([]fairlead.Facet{conformance.Opening}, fairlead.Facets()...) {
		v := facetView{Facet: f}
		for _, res := range r.Results {
			if res.Facet == f {
				v.Cases = append(v.Cases, res)
			}
		}
		for _, c := range r.Claims {
			if c.Facet == f {
				v.Claims = append(v.Claims, claimView{c, verdictState(c.Verdict), ruleViews(c, results)})
			}
		}
		v.Counts = count(v.Cases)
		if len(v.Cases) > 0 {
			all = append(all, v)
		}
	}
	return all
}

// ruleViews returns the rules of a claim that is made.
func ruleViews(c conformance.ClaimResult, results map[string]conformance.Result) []ruleView {
	if c.Verdict == conformance.NotClaimed {
		return nil
	}
	var all []ruleView
	for _, rule := range conformance.Rules() {
		res, selected := results[rule.Case]
		if rule.Facet != c.Facet || !slices.Contains(rule.Claims, c.Claim) || !selected || strings.HasPrefix(res.Reason, "not claimed: ") {
			continue
		}
		all = append(all, ruleView{rule, res, outcomeState(res)})
	}
	return all
}

func verdictState(v conformance.Verdict) string {
	switch v {
	case conformance.Refuted:
		return "bad"
	case conformance.Observed, conformance.SurvivedKills, conformance.SurvivedPowerLoss:
		return "good"
	case conformance.NotClaimed:
		return "none"
	}
	return "open"
}

func outcomeState(r conformance.Result) string {
	switch {
	case r.Bad(), r.Outcome == conformance.KnownFails:
		return "bad"
	case r.Outcome == conformance.Passed:
		return "good"
	}
	return "open"
}

// State is the colour of a rule's outcome, for the template.
func (c caseView) State() string { return outcomeState(c.Result) }

// count says how many cases had which outcome.
func count(cases []conformance.Result) string {
	n := map[conformance.Outcome]int{}
	var order []conformance.Outcome
	for _, c := range cases {
		if n[c.Outcome] == 0 {
			order = append(order, c.Outcome)
		}
		n[c.Outcome]++
	}
	slices.Sort(order)
	var parts []string
	for _, o := range order {
		parts = append(parts, fmt.Sprintf("%d %s", n[o], o))
	}
	return strings.Join(parts, ", ")
}
