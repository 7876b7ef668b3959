package conformance

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/history"
	"fairlead.dev/conformance/internal/intercept"
	"fairlead.dev/conformance/internal/suite"
)

// run is one run of the suite.
type run struct {
	open        Opener
	options     options
	provider    fairlead.Provider
	description fairlead.Description
	prefix      string
	around      around
	history     *history.History
	pace        Pace
	began       time.Time
	observing   sync.Mutex // held while the observer is told something
	doneMu      sync.Mutex
	done        map[string]Result // the results so far, by case
}

// around runs one case by calling run, or leaves it out. It gives run a function that
// gets the case's log lines while the case runs.
type around func(name string, run func(log func(line string)) Result)

// Run opens the provider, runs the cases that apply, and returns a report. It
// fails only if the provider cannot be opened or described; [Report.Conclusion]
// says whether the provider conforms. When ctx ends, Run ends the running cases,
// removes their names, and the report says Interrupted.
func Run(ctx context.Context, open Opener, opts ...Option) (*Report, error) {
	return runAround(ctx, open, func(_ string, run func(func(string)) Result) { run(func(string) {}) }, opts)
}

// runAround is Run with a function around each case. It calls the function from
// several goroutines.
func runAround(ctx context.Context, open Opener, around around, opts []Option) (*Report, error) {
	r := &run{options: newOptions(opts), prefix: newPrefix(time.Now()), around: around, history: history.New(), done: map[string]Result{}}
	r.open = intercept.Opener(open, r.hooks())
	var err error
	if r.provider, err = r.open(ctx); err != nil {
		return nil, err
	}
	defer r.provider.Close(context.WithoutCancel(ctx))
	if r.description, err = r.provider.Describe(ctx); err != nil {
		return nil, err
	}
	r.began = time.Now()
	results := r.runCases(ctx)
	report := r.newReport(results)
	report.Interrupted = slices.ContainsFunc(report.Results, Result.wasInterrupted)
	cleaned := r.clean(ctx)
	report.Leftovers, report.Unmanaged = cleaned.Left, cleaned.Unmanaged
	report.Duration = time.Since(report.Started)
	report.Latencies = r.history.Latencies()
	report.addEvidence()
	report.conclude()
	return report, nil
}

// newReport returns a report with these results, without evidence and conclusion.
func (r *run) newReport(results []Result) *Report {
	return &Report{
		SchemaVersion: ReportVersion,
		Provider:      r.description.Provider,
		Transport:     r.options.transport,
		Profile:       r.options.profile,
		Names:         r.prefix,
		Started:       r.began,
		Duration:      time.Since(r.began),
		Description:   r.description,
		Pace:          r.pace,
		PowerCut:      r.options.powerCut,
		Results:       results,
	}
}

// unfinished returns the report as far as the run has come. planned are the results
// before the first case.
func (r *run) unfinished(planned []Result) *Report {
	r.doneMu.Lock()
	done := maps.Clone(r.done)
	r.doneMu.Unlock()
	results := slices.Clone(planned)
	for i, res := range results {
		if finished, ok := done[res.Case]; ok {
			results[i] = finished
		} else if res.Reason == "" {
			results[i].Reason = notYet
		}
	}
	report := r.newReport(results)
	report.Latencies = r.history.Latencies()
	report.addEvidence()
	report.conclude()
	if report.Conclusion == Conforms {
		report.Conclusion, report.Because = Undecided, "the run goes on"
	}
	return report
}

// hooks bound the rate of calls, and keep the last ones of each case.
func (r *run) hooks() intercept.Hooks {
	h := intercept.Hooks{After: r.history.Record}
	if r.options.maxRate > 0 {
		h.Before = limitRate(r.options.maxRate)
	}
	return h
}

func newPrefix(now time.Time) string {
	return Prefix + now.UTC().Format("20060102T150405") + "-" + rand.Text()[:6] + "-"
}

// runCases runs the cases that apply, and returns a result for each selected
// case, in the order of the cases.
func (r *run) runCases(ctx context.Context) []Result {
	cases := slices.DeleteFunc(allCases(), func(c suite.Case) bool { return !r.options.selects(c) })
	results := make([]Result, len(cases))
	var concurrent, alone []int
	for i, c := range cases {
		results[i] = Result{Case: c.Name, Facet: c.Facet(), Needs: c.Needs, Control: c.Control, RuleID: ruleID(c.Name), Rule: c.Rule, Outcome: NotRun}
		results[i].Reason = r.reasonNotToRun(c)
		switch {
		case results[i].Reason != "":
		case c.Alone():
			alone = append(alone, i)
		default:
			concurrent = append(concurrent, i)
		}
	}
	r.pace = newPace(r.measureRoundTrip(ctx, facetsOf(cases, slices.Concat(concurrent, alone))), r.options)
	r.tellPlan(results, slices.Concat(concurrent, alone))
	runLimited(ctx, concurrent, r.options.parallel, func(i int) { r.runCase(ctx, cases[i], &results[i]) })
	r.sweep(ctx)
	runLimited(ctx, alone, 1, func(i int) {
		if r.runCase(ctx, cases[i], &results[i]) {
			r.sweep(ctx)
		}
	})
	for _, i := range slices.Concat(concurrent, alone) {
		if results[i].Outcome == NotRun && results[i].Reason == "" {
			results[i].Reason = notReached
		}
	}
	return results
}

// facetsOf returns the facets of some of the cases.
func facetsOf(cases []suite.Case, indices []int) (facets []fairlead.Facet) {
	for _, i := range indices {
		facets = append(facets, cases[i].Facet())
	}
	return facets
}

// The reasons of cases that apply and were not run.
const (
	notReached  = "the run was interrupted before it"
	notYet      = "not run yet"
	notSelected = "not selected by the flags of go test" // -run, -skip and -failfast
)

// reasonNotToRun returns why a case does not apply; empty if it does.
func (r *run) reasonNotToRun(c suite.Case) string {
	facet, offered := suite.FacetOf(r.description, c.Facet())
	missing := missingClaims(facet, c.Needs)
	switch {
	case !offered && c.Facet() != Opening:
		return "the facet is not offered"
	case len(missing) > 0:
		return "not claimed: " + strings.Join(missing, ", ")
	case c.Lacks != "" && facet.Has(c.Lacks):
		return "claimed: " + string(c.Lacks)
	case c.Full && r.options.profile == Quick:
		return "not in profile quick"
	case c.Control && r.options.control == nil:
		return "needs control of the backend"
	case c.Fill && r.options.filler == nil:
		return "needs a way to fill the backend"
	case c.Operate && r.options.operator == nil:
		return "needs an operator of the backend"
	}
	return ""
}

func missingClaims(facet fairlead.FacetDescription, needs []fairlead.Claim) (missing []string) {
	for _, claim := range needs {
		if !facet.Has(claim) {
			missing = append(missing, string(claim))
		}
	}
	return missing
}

// runLimited calls runOne for each of the indices, n at a time, until ctx ends.
func runLimited(ctx context.Context, indices []int, n int, runOne func(int)) {
	slots := make(chan struct{}, n)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, i := range indices {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() { runOne(i); <-slots })
	}
}

// runCase runs one case, unless the run's around function leaves it out. It fills in
// the result, and reports whether the case was run.
func (r *run) runCase(ctx context.Context, c suite.Case, res *Result) (ran bool) {
	r.around(c.Name, func(log func(string)) Result {
		ran = true
		r.execute(ctx, c, res, log)
		return *res
	})
	if !ran {
		res.Reason = notSelected
	}
	return ran
}

// execute runs one case, and fills in its result.
func (r *run) execute(ctx context.Context, c suite.Case, res *Result, log func(string)) {
	r.tellBegan(c.Name)
	began := time.Now()
	env := r.env()
	env.Log = log
	outcome := env.Execute(ctx, c)
	res.Failures, res.Logs, res.Kills, res.Acknowledged = outcome.Failures, outcome.Logs, outcome.Kills, outcome.Acknowledged
	switch {
	case outcome.Hung:
		res.Outcome = Hung
	case len(outcome.Failures) > 0:
		res.Outcome = Failed
	case outcome.Interrupted:
		res.Outcome = Interrupted
	case outcome.Blocked != "":
		res.Outcome, res.Reason = CouldNotRun, outcome.Blocked
	default:
		res.Outcome = Passed
	}
	if calls := r.history.Take(r.prefix + suite.NameOf(c)); res.Outcome != Passed {
		res.History = calls
	}
	res.Duration = time.Since(began)
	res.applyKnown(r.options.known)
	r.tellDone(*res)
}

// tellPlan tells the observer which cases will be run, and which will not be.
func (r *run) tellPlan(results []Result, toRun []int) {
	if r.options.observer.Planned == nil {
		return
	}
	p := Plan{Pace: r.pace}
	for _, i := range toRun {
		p.Run = append(p.Run, results[i].Case)
	}
	for _, res := range results {
		if res.Reason != "" {
			p.NotRun = append(p.NotRun, res)
		}
	}
	planned := slices.Clone(results)
	p.Report = func() *Report { return r.unfinished(planned) }
	r.options.observer.Planned(p)
}

func (r *run) tellBegan(name string) {
	r.observing.Lock()
	defer r.observing.Unlock()
	if began := r.options.observer.Began; began != nil {
		began(name)
	}
}

func (r *run) tellDone(res Result) {
	r.doneMu.Lock()
	r.done[res.Case] = res
	r.doneMu.Unlock()
	r.observing.Lock()
	defer r.observing.Unlock()
	if done := r.options.observer.Done; done != nil {
		done(res)
	}
}

func (r *run) env() *suite.Env {
	return &suite.Env{
		Open: r.open, Provider: r.provider, Description: r.description,
		Patience: r.pace.Patience, Soon: r.pace.soon, Wait: r.pace.wait, Extend: r.pace.extend, Backend: r.options.control, Filler: r.options.filler, Operator: r.options.operator, Prefix: r.prefix,
	}
}

// applyKnown changes the outcome of a case that is listed as a known failure.
func (r *Result) applyKnown(known map[string]string) {
	reason, ok := known[r.Case]
	if !ok {
		return
	}
	switch r.Outcome {
	case Failed:
		r.Outcome, r.Reason = KnownFails, reason
	case Passed:
		r.Outcome, r.Reason = Unexpected, reason
		r.Failures = []string{"the case is listed as a known failure and passes: take it off the list"}
	}
}
