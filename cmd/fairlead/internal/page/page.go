// Package page draws a report of the conformance suite as one HTML page, which needs
// nothing else: no network, no script, no other file.
package page

import (
	"bytes"
	_ "embed"
	"html/template"
	"runtime"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// Run is what the page says of a run besides its report.
type Run struct {
	Command string                          // that was typed, without passwords
	Repeat  func(conformance.Result) string // the command that repeats one case
	Refresh bool                            // the run goes on: the page loads itself again
}

//go:embed page.html
var source string

//go:embed page.css
var style string

var tmpl = template.Must(template.New("page").Funcs(template.FuncMap{
	"round": round, "when": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"slug": slug, "percent": percent,
}).Parse(source))

// Draw returns the page.
func Draw(r *conformance.Report, run Run) ([]byte, error) {
	var b bytes.Buffer
	err := tmpl.Execute(&b, newView(r, run))
	return b.Bytes(), err
}

// view is what the template shows.
type view struct {
	*conformance.Report
	Run
	Style    template.CSS
	State    string // "good", "bad" or "open": the colour of the conclusion
	Headline string
	Todo     []todo
	Facets   []facetView
	Failed   []caseView
	Plots    []plot
	System   string // that ran the suite
}

// facetView is a facet with its claims and cases.
type facetView struct {
	Facet  fairlead.Facet
	Claims []claimView
	Cases  []conformance.Result
	Counts string
}

type claimView struct {
	conformance.ClaimResult
	State string
	Rules []ruleView
}

// ruleView is a rule of a claim with its outcome.
type ruleView struct {
	conformance.Rule
	Result conformance.Result
	State  string
}

// caseView is a case that failed, with its rule.
type caseView struct {
	conformance.Result
	Rule   conformance.Rule
	Repeat string
}

func newView(r *conformance.Report, run Run) view {
	v := view{Report: r, Run: run, Style: template.CSS(style), Plots: plots(r.Latencies), System: runtime.GOOS + "/" + runtime.GOARCH + ", " + runtime.Version()}
	v.State, v.Headline = conclude(r, run.Refresh)
	rules := map[string]conformance.Rule{}
	for _, rule := range conformance.Rules() {
		rules[rule.Case] = rule
	}
	results := map[string]conformance.Result{}
	for _, res := range r.Results {
		results[res.Case] = res
		if res.Bad() || res.Outcome == conformance.CouldNotRun || res.Outcome == conformance.KnownFails {
			v.Failed = append(v.Failed, caseView{res, rules[res.Case], run.Repeat(res)})
		}
	}
	sortByHarm(v.Failed)
	v.Facets = facetViews(r, results)
	v.Todo = todos(r, v.Failed)
	return v
}

func conclude(r *conformance.Report, goesOn bool) (state, headline string) {
	switch {
	case r.Conclusion == conformance.DoesNotConform:
		return "bad", "Does not conform"
	case goesOn:
		return "open", "The run goes on"
	case r.Conclusion == conformance.Conforms:
		return "good", "Conforms in what was run"
	}
	return "open", "Undecided"
}

// round shows a duration with three digits.
func round(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Nanosecond).String()
}

// slug makes an id of an element from a name.
func slug(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		switch s := p.(type) {
		case string:
			b.WriteString(s)
		case fairlead.Facet:
			b.WriteString(string(s))
		case fairlead.Claim:
			b.WriteString(string(s))
		}
		b.WriteByte('-')
	}
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, b.String()), "-")
}

func percent(part, whole int) int {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}
