package main

import (
	"cmp"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// ruleState says what a report shows about a rule.
type ruleState string

// The states, the worst first.
const (
	ruleBroken   ruleState = "broken"
	ruleKnown    ruleState = "broken, as known"
	ruleHeld     ruleState = "held"
	ruleNotTried ruleState = "not tried"
)

// isBroken reports whether the rule is broken, known or not.
func (s ruleState) isBroken() bool { return s == ruleBroken || s == ruleKnown }

func stateOf(res conformance.Result) ruleState {
	switch res.Outcome {
	case conformance.Failed, conformance.Hung:
		return ruleBroken
	case conformance.KnownFails:
		return ruleKnown
	case conformance.Passed, conformance.Unexpected:
		return ruleHeld
	default:
		return ruleNotTried
	}
}

// comparedRule is a rule in each of the reports.
type comparedRule struct {
	id      string // or the case, if the report knows no number
	text    string
	harm    conformance.Harm
	facet   fairlead.Facet
	results []conformance.Result // one for each report; without a case if the report does not have the rule
}

func (r comparedRule) state(i int) ruleState { return stateOf(r.results[i]) }

// compareRules returns the rules of all reports, in the order of the reports.
func compareRules(reports []*conformance.Report) []*comparedRule {
	var all []*comparedRule
	byID := map[string]*comparedRule{}
	for i, r := range reports {
		for _, res := range r.Results {
			id := cmp.Or(res.RuleID, res.Case)
			rule := byID[id]
			if rule == nil {
				rule = &comparedRule{id: id, text: res.Rule, facet: res.Facet, results: make([]conformance.Result, len(reports))}
				byID[id] = rule
				all = append(all, rule)
			}
			if rule.results[i].Case == "" || stateOf(res).isBroken() {
				rule.results[i] = res
			}
		}
	}
	addHarms(byID, reports)
	return all
}

// addHarms says what a broken rule does to a program: as this version knows it, or as a
// report says.
func addHarms(rules map[string]*comparedRule, reports []*conformance.Report) {
	for _, r := range reports {
		for _, c := range r.Claims {
			for _, b := range c.Broken {
				if rule := rules[b.ID]; rule != nil {
					rule.harm = b.Harm
				}
			}
		}
	}
	for _, known := range conformance.Rules() {
		if rule := rules[known.ID]; rule != nil {
			rule.harm = known.Harm
		}
	}
}
