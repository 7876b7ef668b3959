package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
)

// Verdict says which kind of evidence a run has for a claim. It names the weakest part
// of the evidence: no run proves a claim.
type Verdict string

// The verdicts on a claim.
const (
	// Refuted: a rule of the claim was broken, even if it is known to be. See Broken.
	Refuted Verdict = "refuted"
	// Observed: every rule of the claim was tried, and held.
	Observed Verdict = "observed"
	// PartlyObserved: some rules of the claim were tried, and held.
	PartlyObserved Verdict = "partly observed"
	// SurvivedPowerLoss: of durability. Nothing that was acknowledged was lost when
	// the power was cut. See [WithPowerCut].
	SurvivedPowerLoss Verdict = "survived power loss"
	// SurvivedKills: of durability. Nothing that was acknowledged was lost when the
	// backend was killed. A kill keeps what the operating system has not written to the
	// disk yet: the settings say whether a loss of power does. See Basis.
	SurvivedKills Verdict = "survived kills"
	// VerifiedInSettings: of durability. The provider has read settings of the backend
	// that promise it, and the backend was not killed.
	VerifiedInSettings Verdict = "verified in settings"
	// AssertedByOperator: of durability. The URL asserts the settings that promise it,
	// and the provider cannot read them. A kill cannot show that the assertion is
	// wrong.
	AssertedByOperator Verdict = "asserted by the operator"
	// NotTried: no rule of the claim was tried to its end. See Reason.
	NotTried Verdict = "not tried"
	// CutShort: the run was interrupted before all rules were tried, and none was
	// broken.
	CutShort Verdict = "interrupted"
	// NotClaimed: see Reason and Remedy.
	NotClaimed Verdict = "not claimed"
)

// Verdicts returns all verdicts, the worst first.
func Verdicts() []Verdict {
	return []Verdict{
		Refuted, CutShort, NotTried, AssertedByOperator, VerifiedInSettings, PartlyObserved, Observed, SurvivedKills, SurvivedPowerLoss, NotClaimed,
	}
}

// ClaimResult is the evidence for one claim of one facet.
type ClaimResult struct {
	Facet   fairlead.Facet `json:"facet"`
	Claim   fairlead.Claim `json:"claim"`
	Rule    string         `json:"rule"` // what the claim promises, in one line
	Verdict Verdict        `json:"verdict"`
	// Held and Rules are how many rules of the claim were tried and held, and how many
	// it has.
	Held  int `json:"held"`
	Rules int `json:"rules"`
	// Broken are the rules that were broken, the most harmful first.
	Broken []BrokenRule `json:"broken,omitempty"`
	// Kills is how often the backend was killed, and Acknowledged how many acknowledged
	// writes were looked for afterwards, by the cases of the rules that held.
	Kills        int             `json:"kills,omitempty"`
	Acknowledged int             `json:"acknowledged,omitempty"`
	Basis        *fairlead.Basis `json:"basis,omitempty"`  // the settings that it rests on
	Reason       string          `json:"reason,omitempty"` // why it is not claimed, or why rules were not tried
	Remedy       string          `json:"remedy,omitempty"`
}

// BrokenRule is a rule that a case has seen broken.
type BrokenRule struct {
	ID   string `json:"id"`
	Case string `json:"case"`
	Text string `json:"text"`
	Harm Harm   `json:"harm"`
}

// Evidence says in words what the verdict rests on.
func (c ClaimResult) Evidence() string {
	var parts []string
	switch {
	case c.Verdict == NotClaimed:
	case len(c.Broken) > 0:
		b := c.Broken[0]
		parts = append(parts, fmt.Sprintf("%s (%s): %s", b.ID, b.Harm, b.Text))
		if more := len(c.Broken) - 1; more > 0 {
			parts = append(parts, fmt.Sprintf("%d more broken: %s", more, strings.Join(brokenIDs(c.Broken[1:]), ", ")))
		}
	default:
		parts = append(parts, fmt.Sprintf("%d of %d rules held", c.Held, c.Rules))
	}
	switch {
	case c.Acknowledged > 0:
		parts = append(parts, fmt.Sprintf("all %d acknowledged writes were found after %d kills", c.Acknowledged, c.Kills))
	case c.Kills > 0:
		parts = append(parts, fmt.Sprintf("%d kills", c.Kills))
	case suite.IsDurability(c.Claim) && c.Verdict != NotClaimed:
		parts = append(parts, "the backend was not killed")
	}
	if c.Basis != nil {
		parts = append(parts, string(c.Basis.Kind)+": "+c.Basis.Detail)
	}
	if c.Reason != "" {
		parts = append(parts, c.Reason)
	}
	if c.Remedy != "" {
		parts = append(parts, "to change this: "+c.Remedy)
	}
	return strings.Join(parts, "; ")
}

func brokenIDs(all []BrokenRule) []string {
	var ids []string
	for _, b := range all {
		ids = append(ids, b.ID)
	}
	return ids
}

// addEvidence judges the claims of each facet that has results.
func (r *Report) addEvidence() {
	for _, fd := range Facets(r.Description) {
		if !slices.ContainsFunc(r.Results, func(res Result) bool { return res.Facet == fd.Facet }) {
			continue
		}
		for _, info := range ClaimsOf(fd.Facet) {
			r.Claims = append(r.Claims, r.judge(fd, info))
		}
	}
}

// judge returns the evidence for one claim.
func (r *Report) judge(fd fairlead.FacetDescription, info fairlead.ClaimInfo) ClaimResult {
	c := ClaimResult{Facet: fd.Facet, Claim: info.Claim, Rule: info.Rule}
	if m, lacks := info.Claim.Check(fd); lacks {
		c.Verdict, c.Reason, c.Remedy = NotClaimed, m.Reason, m.Remedy
		return c
	}
	if b, ok := fd.Basis(info.Claim); ok {
		c.Basis = &b
	}
	interrupted := c.weigh(r.Results, rulesOf(fd, info.Claim))
	switch {
	case len(c.Broken) > 0:
		c.Verdict = Refuted
	case interrupted:
		c.Verdict = CutShort
	case suite.IsDurability(info.Claim):
		c.Verdict = c.durability(r.PowerCut)
	case c.Held == 0:
		c.Verdict = NotTried
	case c.Held < c.Rules:
		c.Verdict = PartlyObserved
	default:
		c.Verdict = Observed
	}
	return c
}

// rulesOf returns the rules of a claim that apply where the facet has these claims.
func rulesOf(fd fairlead.FacetDescription, claim fairlead.Claim) []Rule {
	return slices.DeleteFunc(Rules(), func(rule Rule) bool {
		return rule.Facet != fd.Facet || !slices.Contains(rule.Claims, claim) || len(missingClaims(fd, rule.Claims)) > 0
	})
}

// weigh counts the rules that held, were broken, or were not tried. It reports
// whether the run was interrupted before one of them was tried.
func (c *ClaimResult) weigh(results []Result, rules []Rule) (interrupted bool) {
	c.Rules = len(rules)
	untried := map[string]int{}
	for _, rule := range rules {
		i := slices.IndexFunc(results, func(res Result) bool { return res.Case == rule.Case })
		switch {
		case i < 0:
			untried["not selected"]++
		case results[i].wasInterrupted():
			interrupted = true
			untried["the run was interrupted"]++
		case results[i].Outcome == CouldNotRun:
			untried["could not run: "+results[i].Reason]++
		case !results[i].Ran():
			untried[results[i].Reason]++
		case results[i].Outcome == Passed:
			c.Held++
			c.Kills += results[i].Kills
			c.Acknowledged += results[i].Acknowledged
		default:
			c.Broken = append(c.Broken, BrokenRule{rule.ID, rule.Case, rule.Text, rule.Harm})
		}
	}
	slices.SortStableFunc(c.Broken, func(a, b BrokenRule) int {
		return cmp.Compare(slices.Index(harms, a.Harm), slices.Index(harms, b.Harm))
	})
	c.Reason = formatUntried(untried)
	return interrupted
}

// formatUntried says why rules were not tried, the commonest reason first.
func formatUntried(reasons map[string]int) string {
	var all []string
	for reason := range reasons {
		all = append(all, reason)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	for i, reason := range all {
		all[i] = fmt.Sprintf("%d not tried: %s", reasons[reason], reason)
	}
	return strings.Join(all, "; ")
}

// durability returns the verdict on a claim of durability of which no rule was
// broken.
func (c *ClaimResult) durability(powerCut bool) Verdict {
	asserted := c.Basis != nil && c.Basis.Kind == fairlead.Asserted
	switch {
	case c.Kills > 0 && powerCut:
		return SurvivedPowerLoss
	case asserted:
		return AssertedByOperator
	case c.Kills > 0:
		return SurvivedKills
	case c.Basis != nil:
		return VerifiedInSettings
	default:
		return NotTried
	}
}
