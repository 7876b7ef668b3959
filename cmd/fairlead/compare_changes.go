package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// direction says whether a change from the first report to the last one is to the
// worse.
type direction string

// The directions, in the order in which changes are printed.
const (
	worse     direction = "worse"
	still     direction = "still broken" // in the first and in the last report
	different direction = "different"    // of the reports between, which the first and the last do not differ by
	better    direction = "better"
	slower    direction = "slower" // for information
)

func directions() []direction { return []direction{worse, still, different, better, slower} }

// changeKind says what changed.
type changeKind string

// The kinds of changes; the first ones come first among changes of equal harm.
const (
	changedRule     changeKind = "rule"
	claimLost       changeKind = "claim lost"
	claimGained     changeKind = "claim gained"
	claimWeaker     changeKind = "weaker evidence"
	claimStronger   changeKind = "stronger evidence"
	changedDuration changeKind = "duration"
)

// reportChange is a difference between reports.
type reportChange struct {
	Direction direction        `json:"direction"`
	Kind      changeKind       `json:"kind"`
	Facets    []fairlead.Facet `json:"facets"`
	Claim     fairlead.Claim   `json:"claim,omitempty"`
	RuleID    string           `json:"rule_id,omitempty"`
	Case      string           `json:"case,omitempty"`
	Harm      conformance.Harm `json:"harm,omitempty"` // of a broken rule
	Text      string           `json:"text"`
	// States are, for each report, the state of the rule, the verdict on the claim or
	// the duration of the case.
	States []string `json:"states"`

	known bool // the last report lists the broken rule as known, and the first one breaks it, too
}

// The bounds from which on a slower case is mentioned.
const (
	slowerFactor = 5
	slowerLeast  = time.Second
)

// addChanges finds what differs.
func (c *comparison) addChanges() {
	rules := compareRules(c.reports)
	for _, rule := range rules {
		c.addRule(rule)
		c.addSlower(rule)
	}
	for _, claim := range c.Claims {
		c.addClaim(claim, rules)
	}
	slices.SortStableFunc(c.Changes, func(a, b reportChange) int {
		return cmp.Or(
			cmp.Compare(slices.Index(directions(), a.Direction), slices.Index(directions(), b.Direction)),
			cmp.Compare(harmRank(a), harmRank(b)),
		)
	})
	if c.Changes == nil {
		c.Changes = []reportChange{} // an empty list in JSON
	}
}

// harmRank orders changes: broken rules by their harm, then claims.
func harmRank(c reportChange) int {
	if c.Kind != changedRule {
		return len(conformance.Harms()) + 1
	}
	if i := slices.Index(conformance.Harms(), c.Harm); i >= 0 {
		return i
	}
	return len(conformance.Harms())
}

// addRule adds a rule that is broken in a report, unless every report breaks it as
// known.
func (c *comparison) addRule(rule *comparedRule) {
	last := len(c.reports) - 1
	states := make([]string, len(c.reports))
	broken := false
	for i := range c.reports {
		states[i] = string(rule.state(i))
		broken = broken || rule.state(i).isBroken()
	}
	if !broken {
		return
	}
	one := reportChange{
		Direction: ruleDirection(rule.state(0), rule.state(last)), Kind: changedRule, Facets: []fairlead.Facet{rule.facet},
		RuleID: rule.id, Harm: rule.harm, Text: rule.text, States: states,
		known: rule.state(0).isBroken() && rule.state(last) == ruleKnown,
	}
	for i := range rule.results {
		one.Case = cmp.Or(rule.results[last-i].Case, one.Case)
		if one.Case != "" {
			break
		}
	}
	c.Changes = append(c.Changes, one)
}

func ruleDirection(first, last ruleState) direction {
	switch {
	case last.isBroken() && first.isBroken():
		return still
	case last.isBroken():
		return worse
	case first.isBroken() && last == ruleHeld:
		return better
	default:
		return different
	}
}

// addSlower adds a case that takes much longer.
func (c *comparison) addSlower(rule *comparedRule) {
	first, last := rule.results[0], rule.results[len(rule.results)-1]
	if !first.Ran() || !last.Ran() || first.Case == "" || last.Case == "" || last.Duration <= slowerLeast || last.Duration <= slowerFactor*first.Duration {
		return
	}
	var states []string
	for _, res := range rule.results {
		states = append(states, durationText(res))
	}
	c.Changes = append(c.Changes, reportChange{
		Direction: slower, Kind: changedDuration, Facets: []fairlead.Facet{rule.facet}, RuleID: rule.id, Case: last.Case, Text: rule.text, States: states,
	})
}

func durationText(res conformance.Result) string {
	if res.Case == "" || !res.Ran() {
		return string(ruleNotTried)
	}
	return res.Duration.Round(10 * time.Millisecond).String()
}

// addClaim adds a claim that is lost or gained, or that has weaker or stronger
// evidence. A claim that all facets share is one change for the facets where the
// change is the same.
func (c *comparison) addClaim(claim comparedClaim, rules []*comparedRule) {
	one, ok := c.changeOf(claim, rules)
	if !ok {
		return
	}
	one.Facets, one.Claim = []fairlead.Facet{claim.Facet}, claim.Claim
	for _, v := range claim.Verdicts {
		one.States = append(one.States, verdictText(v))
	}
	same := func(other reportChange) bool {
		return other.Kind == one.Kind && other.Claim == one.Claim && other.Text == one.Text && slices.Equal(other.States, one.States)
	}
	if i := slices.IndexFunc(c.Changes, same); i >= 0 {
		c.Changes[i].Facets = append(c.Changes[i].Facets, claim.Facet)
		return
	}
	c.Changes = append(c.Changes, one)
}

// changeOf returns how a claim changed from the first report to the last one, and false
// if it did not. Its evidence is weaker, too, if a rule held in the first report, and
// was not tried in the last one, where it applies. How many rules apply says nothing:
// that depends on the other claims of the backend.
func (c *comparison) changeOf(claim comparedClaim, rules []*comparedRule) (reportChange, bool) {
	end := len(claim.Verdicts) - 1
	first, last := claim.Verdicts[0], claim.Verdicts[end]
	fewer := c.onlyHeldIn(0, end, claim, rules)
	more := c.onlyHeldIn(end, 0, claim, rules)
	rank := cmp.Compare(evidenceRank(last), evidenceRank(first))
	switch lost, gained := last.Verdict == conformance.NotClaimed, first.Verdict == conformance.NotClaimed; {
	case lost && gained:
		return reportChange{}, false
	case lost:
		return reportChange{Direction: worse, Kind: claimLost, Text: last.Evidence}, true
	case gained:
		return reportChange{Direction: better, Kind: claimGained, Text: last.Evidence}, true
	case last.Verdict == conformance.Refuted && rank < 0: // its rules are changes of their own
		return reportChange{Direction: worse, Kind: claimWeaker, Text: "refuted by " + strings.Join(last.Broken, ", ")}, true
	case rank < 0:
		return reportChange{Direction: worse, Kind: claimWeaker, Text: last.Evidence}, true
	case rank == 0 && len(fewer) > 0:
		return reportChange{Direction: worse, Kind: claimWeaker, Text: "held before, and not tried now: " + formatList(fewer)}, true
	case rank > 0:
		return reportChange{Direction: better, Kind: claimStronger, Text: last.Evidence}, true
	case len(more) > 0:
		return reportChange{Direction: better, Kind: claimStronger, Text: "held now, and not tried before: " + formatList(more)}, true
	}
	return reportChange{}, false
}

// evidenceRank orders the evidence for a claim. How many rules were tried is compared
// rule by rule.
func evidenceRank(v comparedVerdict) int {
	if v.Verdict == conformance.PartlyObserved {
		return verdictRank(conformance.Observed)
	}
	return verdictRank(v.Verdict)
}

// onlyHeldIn returns the rules of a claim that held in the report i, and were not tried
// in the report j although they apply there, with the reasons.
func (c *comparison) onlyHeldIn(i, j int, claim comparedClaim, rules []*comparedRule) (only []string) {
	for _, rule := range rules {
		needs := rule.results[i].Needs
		if rule.facet != claim.Facet || !slices.Contains(needs, claim.Claim) || rule.state(i) != ruleHeld || rule.state(j) != ruleNotTried {
			continue
		}
		if doesApply(c.reports[j], rule.facet, needs) {
			only = append(only, fmt.Sprintf("%s (%s)", rule.id, cmp.Or(rule.results[j].Reason, "not selected")))
		}
	}
	return only
}

// doesApply reports whether a backend offers a facet with the claims that a rule needs.
// The rules of opening apply to every backend.
func doesApply(r *conformance.Report, f fairlead.Facet, needs []fairlead.Claim) bool {
	if f == conformance.Opening {
		return true
	}
	for _, fd := range conformance.Facets(r.Description) {
		if fd.Facet == f {
			return !slices.ContainsFunc(needs, func(claim fairlead.Claim) bool { return !fd.Has(claim) })
		}
	}
	return false
}

// listShown is how many items of a list are shown.
const listShown = 5

func formatList(all []string) string {
	if more := len(all) - listShown; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(all[:listShown], ", "), more)
	}
	return strings.Join(all, ", ")
}

// verdictRank is the place of a verdict among all, the worst first; -1 for an unknown
// one.
func verdictRank(v conformance.Verdict) int { return slices.Index(conformance.Verdicts(), v) }

// verdictText is a verdict with the share of the rules that were tried, if not all
// were.
func verdictText(v comparedVerdict) string {
	if v.Verdict == conformance.PartlyObserved {
		return fmt.Sprintf("partly observed, %d of %d rules", v.Held, v.Rules)
	}
	return string(v.Verdict)
}

// summarize says in one line whether the last report is worse, and how.
func (c *comparison) summarize() {
	n, known := map[changeKind]int{}, 0
	for _, one := range c.Changes {
		if one.known {
			known++
		}
		if one.Direction == worse || one.Direction == still && !one.known {
			n[one.Kind]++
		}
	}
	c.Worse = len(n) > 0
	pair := fmt.Sprintf("%s against %s: ", c.Reports[len(c.Reports)-1].Label, c.Reports[0].Label)
	switch {
	case !c.Worse && known > 0:
		c.Summary = fmt.Sprintf("%sno rule is broken but %d known ones, and no claim is lost or has weaker evidence", pair, known)
		return
	case !c.Worse:
		c.Summary = pair + "no rule is broken, and no claim is lost or has weaker evidence"
		return
	}
	var parts []string
	for _, part := range []struct {
		kind changeKind
		text string
	}{{changedRule, "rules broken"}, {claimLost, "claims lost"}, {claimWeaker, "claims with weaker evidence"}} {
		if n[part.kind] > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", part.text, n[part.kind]))
		}
	}
	c.Summary = pair + strings.Join(parts, "; ")
}
