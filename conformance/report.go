package conformance

import (
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/history"
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
	Case    string           `json:"case"`
	Facet   fairlead.Facet   `json:"facet"`
	Needs   []fairlead.Claim `json:"needs,omitempty"`
	Control bool             `json:"control,omitempty"` // the case kills the backend
	Kills   int              `json:"kills,omitempty"`   // how often it did
	// Acknowledged is how many acknowledged writes it looked for after its kills.
	Acknowledged int      `json:"acknowledged,omitempty"`
	RuleID       string   `json:"rule_id"` // see [Rule]
	Rule         string   `json:"rule"`
	Outcome      Outcome  `json:"outcome"`
	Reason       string   `json:"reason,omitempty"`   // why it was not or could not be run, or why it is known to fail
	Failures     []string `json:"failures,omitempty"` // the assertions that failed
	Logs         []string `json:"logs,omitempty"`
	// History has the last calls that the case made of the provider's drivers, a line
	// for each, unless it passed: when it began and ended, since the beginning of the
	// run, of which store, topic, source or service, and its result.
	History  []string      `json:"history,omitempty"`
	Duration time.Duration `json:"duration_ns"`
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

// ReportVersion is the version of the JSON form of a [Report] that this package writes.
// docs/report.schema.json is its schema. New fields do not change the version.
const ReportVersion = 1

// Report is the outcome of a run.
type Report struct {
	// SchemaVersion is [ReportVersion] of the package that made the report.
	SchemaVersion int `json:"schema_version"`

	Provider    string               `json:"provider"`
	Transport   string               `json:"transport"`
	Profile     Profile              `json:"profile"`
	Names       string               `json:"names"` // what the names that the run made begin with
	Started     time.Time            `json:"started"`
	Duration    time.Duration        `json:"duration_ns"`
	Description fairlead.Description `json:"description"`
	Pace        Pace                 `json:"pace"`                // the time limits, and what they follow from
	PowerCut    bool                 `json:"power_cut,omitempty"` // the cases that kill the backend cut its power
	Results     []Result             `json:"results"`
	Latencies   []Latency            `json:"latencies,omitempty"` // of the drivers' calls
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

// Latency says how long the calls of one kind took, while up to [WithParallel] cases
// ran at once, with large values, and with kills. It is no benchmark.
type Latency = history.Latency

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
