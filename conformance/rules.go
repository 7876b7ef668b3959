package conformance

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"fairlead.dev"
)

// Harm says what a program suffers from a backend that breaks a rule.
type Harm string

// The harms, the worst first.
const (
	DataLost    Harm = "data lost"    // acknowledged data is lost, changed, overwritten in silence, or worked on twice
	SecretShown Harm = "secret shown" // somebody sees what only the backend may know
	OrderBroken Harm = "order broken" // a reader sees another order, or two moments at once
	Late        Harm = "late"         // something hangs, comes late, leaks, or stops and needs a restart
	Cosmetic    Harm = "cosmetic"     // a wrong code or text; nothing is lost
)

var harms = []Harm{DataLost, SecretShown, OrderBroken, Late, Cosmetic}

// Harms returns all harms, the worst first.
func Harms() []Harm { return slices.Clone(harms) }

// Rule is one sentence of the contract.
type Rule struct {
	// ID names the rule for good, for example "KV-CAS-3". It is never given to another
	// rule.
	ID     string
	Facet  fairlead.Facet
	Claims []fairlead.Claim // whose guarantee the rule is a part of; none: every provider keeps it
	Text   string           // what must be so
	Why    string           // why a program needs it; the rules of a group share it
	Harm   Harm             // what breaking it does to a program
	Case   string           // the case that tests it
}

// Rules returns all rules, in the order of [Cases].
func Rules() []Rule {
	var all []Rule
	for _, c := range allCases() {
		id := ruleID(c.Name)
		g := groupOf(id)
		all = append(all, Rule{ID: id, Facet: c.Facet(), Claims: c.Needs, Text: c.Rule, Why: g.why, Harm: g.harm, Case: c.Name})
	}
	return all
}

// rulesFile has a line for each rule: its identifier, and its case or, for a rule that
// is no more, "-".
//
//go:embed rules.txt
var rulesFile string

// ruleIDs returns the identifiers of rules by their case.
var ruleIDs = sync.OnceValue(func() map[string]string { return parseRules(rulesFile) })

func parseRules(file string) map[string]string {
	ids := map[string]string{}
	for line := range strings.Lines(file) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "-" {
			ids[name] = id
		}
	}
	return ids
}

func ruleID(caseName string) string { return ruleIDs()[caseName] }

// groupOf returns the group of a rule's identifier.
func groupOf(id string) ruleGroup {
	for _, g := range ruleGroups {
		if rest, ok := strings.CutPrefix(id, g.id+"-"); ok && strings.Trim(rest, "0123456789") == "" {
			return g
		}
	}
	return ruleGroup{}
}
