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
	Passed      Outcome = "passed"
	Failed      Outcome = "failed"        // by an assertion
	Hung        Outcome = "hung"          // still running some seconds after its deadline
	NotRun      Outcome = "not run"       // see Reason: a claim, the profile, or no control, filler or operator
	KnownFails  Outcome = "known"         // failed, as said beforehand
	Unexpected  Outcome = "passes again"  // known to fail, and passed: a failure of the list
	CouldNotRun Outcome = "could not run" // see Reason: something that the case needs failed, and no assertion did
	Interrupted Outcome = "interrupted"   // the run's context ended first, and no assertion had failed
)

// Result is how one case ended.
type Result struct {
	Case     string           `json:"case"`
	Facet    fairlead.Facet   `json:"facet"`
	Needs    []fairlead.Claim `json:"needs,omitempty"`
	Control  bool             `json:"control,omitempty"` // the case kills the backend
	Kills    int              `json:"kills,omitempty"`   // how often it did
	Rule     string           `json:"rule"`
	Outcome  Outcome          `json:"outcome"`
	Reason   string           `json:"reason,omitempty"`   // why it was not or could not be run, or why it is known to fail
	Failures []string         `json:"failures,omitempty"` // the assertions that failed
	Logs     []string         `json:"logs,omitempty"`
	Duration time.Duration    `json:"duration_ns"`
}

// Bad reports whether the result makes a provider fail.
func (r Result) Bad() bool {
	return r.Outcome == Failed || r.Outcome == Hung || r.Outcome == Unexpected
}

// Ran reports whether the case was run to its end.
func (r Result) Ran() bool {
	return r.Outcome != NotRun && r.Outcome != CouldNotRun && r.Outcome != Interrupted
}

// wasInterrupted reports whether the case did not run to its end because the run was
// given up.
func (r Result) wasInterrupted() bool { return r.Outcome == Interrupted || r.Reason == notReached }

// Conclusion says what a run shows about the provider as a whole.
type Conclusion string

// The conclusions.
const (
	Conforms       Conclusion = "conforms"         // in what was run: at least one case, none failed, and all that were to run did
	DoesNotConform Conclusion = "does not conform" // a case failed
	Undecided      Conclusion = "undecided"        // no case failed, and: nothing ran, or a case could not run, or the run was interrupted
)

// Verdict says what a run shows about a claim.
type Verdict string

// The verdicts.
const (
	Proven     Verdict = "proven"      // claimed; cases that need it ran (for durability: with kills), and all passed
	Refuted    Verdict = "refuted"     // claimed, and a case that needs it failed, even if it is known to fail
	Unproven   Verdict = "unproven"    // claimed, and no case that could prove it ran to its end; see Reason
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
	Pace        Pace                 `json:"pace"` // the time limits, and what they follow from
	Results     []Result             `json:"results"`
	Claims      []ClaimResult        `json:"claims"`
	// Leftovers are names that could not be removed from the backend.
	Leftovers []string `json:"leftovers,omitempty"`
	// Unmanaged: they could not be removed because the provider has no way to do so, or
	// its user lacks the permission, which is no fault.
	Unmanaged bool `json:"unmanaged,omitempty"`
	// Interrupted: the context ended before all cases had run.
	Interrupted bool       `json:"interrupted,omitempty"`
	Conclusion  Conclusion `json:"conclusion"`
	// Because says why the conclusion is not Conforms.
	Because string `json:"because,omitempty"`
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

// Err returns nil if the provider conforms, as far as cases were run. Else it returns
// an error with the conclusion and the reason.
func (r *Report) Err() error {
	if r.Conclusion == Conforms {
		return nil
	}
	return fmt.Errorf("%s: %s", r.Conclusion, r.Because)
}

// conclude derives the conclusion from the results.
func (r *Report) conclude() {
	var bad, blocked []string
	ran := 0
	for _, res := range r.Results {
		if res.Ran() {
			ran++
		}
		switch {
		case res.Bad():
			bad = append(bad, res.Case)
		case res.Outcome == CouldNotRun:
			blocked = append(blocked, res.Case)
		}
	}
	switch {
	case len(bad) > 0:
		r.Conclusion, r.Because = DoesNotConform, fmt.Sprintf("%d of %d cases failed: %v", len(bad), ran, bad)
	case r.Interrupted:
		r.Conclusion, r.Because = Undecided, fmt.Sprintf("interrupted after %d cases, and none failed", ran)
	case len(blocked) > 0:
		r.Conclusion, r.Because = Undecided, fmt.Sprintf("%d cases could not run: %v", len(blocked), blocked)
	case len(r.Results) == 0:
		r.Conclusion, r.Because = Undecided, "no case was selected"
	case ran == 0:
		r.Conclusion, r.Because = Undecided, "no case was run: "+r.Results[0].Case+": "+r.Results[0].Reason
	default:
		r.Conclusion = Conforms
	}
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
	interrupted, blocked := false, ""
	for _, res := range r.Results {
		switch {
		case res.Facet != fd.Facet || !slices.Contains(res.Needs, info.Claim):
		case res.wasInterrupted():
			interrupted = true
		case res.Outcome == CouldNotRun:
			blocked = res.Case + ": " + res.Reason
		case !res.Ran():
		case res.Outcome != Passed:
			bad = append(bad, res.Case)
		case res.Control || !suite.IsDurability(info.Claim):
			proof = append(proof, res.Case)
		}
	}
	switch {
	case len(bad) > 0:
		c.Verdict, c.Cases = Refuted, bad
	case interrupted:
		c.Verdict, c.Reason = Unproven, "the run was interrupted"
	case blocked != "":
		c.Verdict, c.Reason = Unproven, "could not run: "+blocked
	case len(proof) > 0:
		c.Verdict, c.Cases = Proven, proof
	case suite.IsDurability(info.Claim):
		c.Verdict, c.Reason = Unproven, "no case that kills the backend was run"
	default:
		c.Verdict, c.Reason = Unproven, "no case that needs it was run"
	}
	return c
}
