package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// maxColumnWidth is the width, in characters, at which the text of a column wraps.
const maxColumnWidth = 60

func newTable(out io.Writer, title string, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetTitle(title)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Title.Align = text.AlignLeft
	t.AppendHeader(table.Row(header))
	configs := make([]table.ColumnConfig, len(header))
	for i := range configs {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: maxColumnWidth, WidthMaxEnforcer: text.WrapSoft}
	}
	t.SetColumnConfigs(configs)
	return t
}

// printReport prints the failures, the claims, the cases by facet, and the verdict.
func printReport(out io.Writer, r *conformance.Report) {
	printFailures(out, r)
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

func printFailures(out io.Writer, r *conformance.Report) {
	for _, res := range r.Results {
		if res.Outcome == conformance.CouldNotRun {
			fmt.Fprintf(out, "\nCOULD NOT RUN %s: %s\n", res.Case, res.Reason)
		}
		if !res.Bad() {
			continue
		}
		fmt.Fprintf(out, "\n%s %s: %s\n", strings.ToUpper(string(res.Outcome)), res.Case, res.Rule)
		for _, line := range append(res.Failures, res.Logs...) {
			fmt.Fprintln(out, "    "+strings.ReplaceAll(line, "\n", "\n    "))
		}
	}
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
	printNotRun(out, r)
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

// printNotRun prints why cases were not run, if the operator can change that.
func printNotRun(out io.Writer, r *conformance.Report) {
	n := map[string]int{}
	for _, res := range r.Results {
		if res.Outcome == conformance.NotRun {
			n[res.Reason]++
		}
	}
	if c := n["needs control of the backend"]; c > 0 {
		fmt.Fprintf(out, "%d cases kill the backend; to run them, give --kill-command and --start-command.\n", c)
	}
	if c := n["needs a way to fill the backend"]; c > 0 {
		fmt.Fprintf(out, "%d cases fill the backend; to run them, give --fill-command and --free-command.\n", c)
	}
	if c := n["needs an operator of the backend"]; c > 0 {
		fmt.Fprintf(out, "%d cases change the backend as other programs do; to run them, give --purge-command, --insert-command and --replace-command.\n", c)
	}
	if c := n["not in profile quick"]; c > 0 {
		fmt.Fprintf(out, "%d cases run only with --profile full.\n", c)
	}
}
