package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// printReport prints the failures, the claims, the cases by facet, and the verdict.
// repeat returns the command that repeats a case.
func printReport(out io.Writer, r *conformance.Report, repeat func(conformance.Result) string) {
	printFailures(out, r, repeat)
	printClaims(out, r)
	printFacets(out, r)
	for _, left := range r.Leftovers {
		fmt.Fprintln(out, "left on the backend:", left)
	}
	fmt.Fprintf(out, "claims: %s\n", countVerdicts(r.Claims))
	fmt.Fprintf(out, "%s (%s, profile %s, %v): %s\n", strings.TrimSpace(r.Provider+" "+r.Description.Version),
		r.Transport, r.Profile, r.Duration.Round(10*time.Millisecond), conclusionText(r))
}

// conclusionText is the conclusion. The error on standard error says why a provider
// does not conform.
func conclusionText(r *conformance.Report) string {
	if r.Conclusion == conformance.Conforms {
		return "conforms in what was run"
	}
	return strings.ToUpper(string(r.Conclusion))
}

// countVerdicts counts the claims by verdict.
func countVerdicts(claims []conformance.ClaimResult) string {
	n := map[conformance.Verdict]int{}
	for _, c := range claims {
		n[c.Verdict]++
	}
	var parts []string
	for _, v := range conformance.Verdicts() {
		if n[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[v], v))
		}
	}
	return strings.Join(parts, ", ")
}

// printFailures prints, for each case that failed or could not run, its rule, what the
// assertions expected and saw, and the command that repeats it.
func printFailures(out io.Writer, r *conformance.Report, repeat func(conformance.Result) string) {
	for _, res := range r.Results {
		if !res.Bad() && res.Outcome != conformance.CouldNotRun {
			continue
		}
		fmt.Fprintf(out, "\n%s %s\n", strings.ToUpper(string(res.Outcome)), res.Case)
		printIndented(out, "rule", res.RuleID+": "+res.Rule)
		if res.Reason != "" {
			printIndented(out, "reason", res.Reason)
		}
		for _, line := range res.Failures {
			printIndented(out, "seen", line)
		}
		for _, line := range res.Logs {
			printIndented(out, "log", line)
		}
		printIndented(out, "repeat", repeat(res))
	}
}

// printIndented prints a text with a name before its first line.
func printIndented(out io.Writer, name, text string) {
	fmt.Fprintf(out, "    %-8s%s\n", name+":", strings.ReplaceAll(text, "\n", "\n            "))
}

func printClaims(out io.Writer, r *conformance.Report) {
	t := newTable(out, "Guarantees", "claim", "verdict", "evidence")
	for _, row := range claimRows(r.Claims) {
		t.AppendRow(table.Row{row.name, row.verdict, row.evidence})
	}
	t.Render()
}

type claimRow struct {
	name     string
	verdict  conformance.Verdict
	evidence string
}

// claimRows returns a row for each claim. A common claim has one row for all
// facets with the same verdict and the same evidence.
func claimRows(claims []conformance.ClaimResult) []claimRow {
	var rows []claimRow
	for _, c := range claims {
		row := claimRow{string(c.Claim), c.Verdict, c.Evidence()}
		if strings.Contains(row.name, ".") {
			rows = append(rows, row)
			continue
		}
		same := func(r claimRow) bool {
			return strings.HasPrefix(r.name, row.name) && r.verdict == row.verdict && r.evidence == row.evidence
		}
		if i := slices.IndexFunc(rows, same); i >= 0 {
			rows[i].name += ", " + string(c.Facet)
			continue
		}
		row.name += ": " + string(c.Facet)
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b claimRow) int {
		return cmp.Compare(strings.Count(b.name, "."), strings.Count(a.name, "."))
	})
	return rows
}

func reasonText(reason, remedy string) string {
	if remedy == "" {
		return reason
	}
	return reason + "; to change this: " + remedy
}

func printFacets(out io.Writer, r *conformance.Report) {
	t := newTable(out, "Cases", "facet", "passed", "failed", "known", "could not run", "interrupted", "not run")
	total := table.Row{"all", 0, 0, 0, 0, 0, 0}
	for _, f := range append([]fairlead.Facet{conformance.Opening}, fairlead.Facets()...) {
		if !slices.ContainsFunc(r.Results, func(res conformance.Result) bool { return res.Facet == f }) {
			continue
		}
		row := table.Row{f, 0, 0, 0, 0, 0, 0}
		for _, res := range r.Results {
			if res.Facet == f {
				i := outcomeColumn(res)
				row[i] = row[i].(int) + 1
				total[i] = total[i].(int) + 1
			}
		}
		t.AppendRow(row)
	}
	t.AppendFooter(total)
	t.Render()
}

func outcomeColumn(r conformance.Result) int {
	switch {
	case r.Outcome == conformance.Passed:
		return 1
	case r.Bad():
		return 2
	case r.Outcome == conformance.KnownFails:
		return 3
	case r.Outcome == conformance.CouldNotRun:
		return 4
	case r.Outcome == conformance.Interrupted:
		return 5
	default:
		return 6
	}
}
