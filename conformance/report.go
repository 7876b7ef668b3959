package conformance

import (
	"fmt"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
)

// Outcome says how a case ended.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"       // by an assertion
	Hung       Outcome = "hung"         // still running some seconds after its deadline
	NotRun     Outcome = "not run"      // see Reason: a claim, the profile, or no control, filler or operator
	KnownFails Outcome = "known"        // failed, as said beforehand
	Unexpected Outcome = "passes again" // known to fail, and passed: a failure of the list
)

// Result is how one case ended.
type Result struct {
	Case     string           `json:"case"`
	Facet    fairlead.Facet   `json:"facet"`
	Needs    []fairlead.Claim `json:"needs,omitempty"`
	Control  bool             `json:"control,omitempty"` // the case kills the backend
	Rule     string           `json:"rule"`
	Outcome  Outcome          `json:"outcome"`
	Reason   string           `json:"reason,omitempty"`   // why not run, or why known to fail
	Failures []string         `json:"failures,omitempty"` // the assertions that failed
	Logs     []string         `json:"logs,omitempty"`
	Duration time.Duration    `json:"duration_ns"`
}

// Bad reports whether the result makes a provider fail.
func (r Result) Bad() bool {
	return r.Outcome == Failed || r.Outcome == Hung || r.Outcome == Unexpected
}

// Ran reports whether the case was run.
func (r Result) Ran() bool { return r.Outcome != NotRun }

// Verdict says what a run shows about a claim.
type Verdict string

// The verdicts.
const (
	Proven     Verdict = "proven"      // claimed; cases that need it ran (for durability: with kills), and all passed
	Refuted    Verdict = "refuted"     // claimed, and a case that needs it failed, even if it is known to fail
	Unproven   Verdict = "unproven"    // claimed, and no case that could prove it ran
	NotClaimed Verdict = "not claimed" // and see Reason and Remedy
)

// ClaimResult is the verdict on one claim of one facet.
type ClaimResult struct {
	Facet   fairlead.Facet `json:"facet"`
	Claim   fairlead.Claim `json:"claim"`
	Rule    string         `json:"rule"`
	Verdict Verdict        `json:"verdict"`
	Cases   []string       `json:"cases,omitempty"` // that ran and need it; only the failed ones if refuted
	Reason  string         `json:"reason,omitempty"`
	Remedy  string         `json:"remedy,omitempty"`
}

// Report is the outcome of a run.
type Report struct {
	Provider    string               `json:"provider"`
	Transport   string               `json:"transport"`
	Profile     Profile              `json:"profile"`
	Started     time.Time            `json:"started"`
	Duration    time.Duration        `json:"duration_ns"`
	Description fairlead.Description `json:"description"`
	Results     []Result             `json:"results"`
	Claims      []ClaimResult        `json:"claims"`
	// Leftovers are names that could not be removed from the backend.
	Leftovers []string `json:"leftovers,omitempty"`
	// Unmanaged: they could not be removed because the provider does not claim
	// Manage, which is no fault.
	Unmanaged bool `json:"unmanaged,omitempty"`
	// Interrupted: the context ended before all cases had run.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Count returns how many results have the outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, res := range r.Results {
		if res.Outcome == o {
			n++
		}
	}
	return n
}

// Err returns nil if the provider conforms, as far as cases were run: at least
// one case ran, and none failed.
func (r *Report) Err() error {
	var bad []string
	ran := 0
	for _, res := range r.Results {
		if res.Bad() {
			bad = append(bad, res.Case)
		}
		if res.Ran() {
			ran++
		}
	}
	switch {
	case r.Interrupted:
		return fmt.Errorf("interrupted after %d cases", ran)
	case ran == 0:
		return fmt.Errorf("no case was run; select more facets or a wider pattern")
	case len(bad) > 0:
		return fmt.Errorf("%d of %d cases failed: %v", len(bad), ran, bad)
	}
	return nil
}

// ClaimsOf returns the claims that a facet knows, with their rules.
func ClaimsOf(f fairlead.Facet) []fairlead.ClaimInfo { return suite.ClaimsOf(f) }

// Facets returns the description of each facet, including the config facet that
// a kv facet provides.
func Facets(d fairlead.Description) []fairlead.FacetDescription {
	var facets []fairlead.FacetDescription
	for _, f := range fairlead.Facets() {
		if fd, ok := suite.FacetOf(d, f); ok {
			facets = append(facets, fd)
		}
	}
	return facets
}

// addVerdicts derives the verdicts from the results, for each facet that has results.
func (r *Report) addVerdicts() {
	for _, fd := range Facets(r.Description) {
		if !slices.ContainsFunc(r.Results, func(res Result) bool { return res.Facet == fd.Facet }) {
			continue
		}
		for _, info := range ClaimsOf(fd.Facet) {
			r.Claims = append(r.Claims, r.judge(fd, info))
		}
	}
}

// judge returns the verdict on one claim.
func (r *Report) judge(fd fairlead.FacetDescription, info fairlead.ClaimInfo) ClaimResult {
	c := ClaimResult{Facet: fd.Facet, Claim: info.Claim, Rule: info.Rule}
	if m, lacks := info.Claim.Check(fd); lacks {
		c.Verdict, c.Reason, c.Remedy = NotClaimed, m.Reason, m.Remedy
		return c
	}
	var proof, bad []string
	for _, res := range r.Results {
		switch {
		case res.Facet != fd.Facet || !res.Ran() || !slices.Contains(res.Needs, info.Claim):
		case res.Outcome != Passed:
			bad = append(bad, res.Case)
		case res.Control || !suite.IsDurability(info.Claim):
			proof = append(proof, res.Case)
		}
	}
	switch {
	case len(bad) > 0:
		c.Verdict, c.Cases = Refuted, bad
	case len(proof) > 0:
		c.Verdict, c.Cases = Proven, proof
	case suite.IsDurability(info.Claim):
		c.Verdict, c.Reason = Unproven, "no case that kills the backend was run"
	default:
		c.Verdict, c.Reason = Unproven, "no case that needs it was run"
	}
	return c
}
