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

// print prints the comparison for people, as wide as the output.
func (c *comparison) print(out io.Writer) {
	width := outputWidth(out)
	for _, r := range c.Reports {
		fmt.Fprintln(out, wrapped(r.Label+": "+r.environment(), width, ""))
		fmt.Fprintln(out, wrapped(r.conclusionLine(), width, "  "))
	}
	for _, g := range groupClaims(c.Claims) {
		c.printClaimGroup(out, g, width)
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, wrapped(shortVerdictsExplained, width, ""))
	for _, d := range directions() {
		c.printChanges(out, d, width)
	}
	if !c.Worse { // otherwise it is the error
		fmt.Fprintf(out, "\n%s\n", wrapped(c.Summary, width, ""))
	}
}

// environment says what was run, and where.
func (r comparedReport) environment() string {
	parts := []string{strings.TrimSpace(r.Provider + " " + r.Version), r.Transport, "profile " + string(r.Profile), r.Started.UTC().Format("2006-01-02 15:04 UTC")}
	return strings.Join(parts, ", ")
}

// conclusionLine says what the run shows.
func (r comparedReport) conclusionLine() string {
	how := "no kills"
	if r.Kills > 0 {
		how = fmt.Sprintf("%d kills", r.Kills)
		if r.PowerCut {
			how = fmt.Sprintf("%d power cuts", r.Kills)
		}
	}
	return fmt.Sprintf("%s; rules: %d held, %d broken, %d not tried; %s; %v", r.Conclusion, r.Held, r.Broken, r.NotTried, how, r.Duration.Round(100*time.Millisecond))
}

// claimGroup is the claims of a facet, or those that all facets share.
type claimGroup struct {
	title string
	rows  []claimsRow
}

// claimsRow is a claim, of one facet or of several ones with the same verdicts.
type claimsRow struct {
	name  string
	cells []string // one for each report
}

// groupClaims returns the rows by facet.
func groupClaims(claims []comparedClaim) (groups []claimGroup) {
	shared := claimGroup{title: "every facet"}
	for _, f := range fairlead.Facets() {
		g := claimGroup{title: string(f)}
		for _, c := range claims {
			switch {
			case c.Facet != f:
			case strings.Contains(string(c.Claim), "."):
				g.rows = append(g.rows, claimsRow{string(c.Claim), c.cells()})
			default:
				shared.add(c)
			}
		}
		groups = append(groups, g)
	}
	slices.SortStableFunc(shared.rows, func(a, b claimsRow) int { return cmp.Compare(commonRank(a.name), commonRank(b.name)) })
	groups = append(groups, shared)
	return slices.DeleteFunc(groups, func(g claimGroup) bool { return len(g.rows) == 0 })
}

// commonRank is the place of a claim that all facets share, by the name of its row.
func commonRank(row string) int {
	name, _, _ := strings.Cut(row, ":")
	return slices.IndexFunc(fairlead.CommonClaims(), func(info fairlead.ClaimInfo) bool { return string(info.Claim) == name })
}

// add adds a claim of one facet to the row of others with the same cells.
func (g *claimGroup) add(c comparedClaim) {
	cells := c.cells()
	for i, row := range g.rows {
		if strings.HasPrefix(row.name, string(c.Claim)+":") && slices.Equal(row.cells, cells) {
			g.rows[i].name += ", " + string(c.Facet)
			return
		}
	}
	g.rows = append(g.rows, claimsRow{string(c.Claim) + ": " + string(c.Facet), cells})
}

func (c comparedClaim) cells() []string {
	var all []string
	for _, v := range c.Verdicts {
		all = append(all, shortVerdict(v))
	}
	return all
}

// shortVerdict is the verdict in a word or two.
func shortVerdict(v comparedVerdict) string {
	switch v.Verdict {
	case conformance.Refuted:
		return "REFUTED"
	case conformance.NotClaimed:
		return "–"
	case conformance.AssertedByOperator:
		return "asserted"
	case conformance.VerifiedInSettings:
		return "settings"
	case conformance.PartlyObserved:
		return fmt.Sprintf("%d of %d", v.Held, v.Rules)
	case conformance.SurvivedKills:
		return "kills"
	case conformance.SurvivedPowerLoss:
		return "power"
	}
	return string(v.Verdict)
}

const shortVerdictsExplained = `observed: all rules of the claim were tried and held; 3 of 5: so many were, and held; ` +
	`kills, power: nothing acknowledged was lost by kills, by power cuts; settings: verified in the backend's settings only; ` +
	`asserted: the operator says so; –: not claimed`

// printClaimGroup prints a table, or a list if the columns do not fit beside each
// other.
func (c *comparison) printClaimGroup(out io.Writer, g claimGroup, width int) {
	header := []any{"claim"}
	for _, r := range c.Reports {
		header = append(header, r.Label)
	}
	fmt.Fprintln(out)
	t := newTable(out, g.title, header...)
	for _, row := range g.rows {
		cells := table.Row{row.name}
		for _, cell := range row.cells {
			cells = append(cells, cell)
		}
		t.AppendRow(cells)
	}
	if t.columnWidths(width) != nil {
		t.Render()
		return
	}
	fmt.Fprintln(out, g.title)
	for _, row := range g.rows {
		c.printClaimList(out, row, width)
	}
}

// printClaimList prints a claim with a line for each verdict.
func (c *comparison) printClaimList(out io.Writer, row claimsRow, width int) {
	if allEqual(row.cells) {
		fmt.Fprintln(out, wrapped(row.name+": "+row.cells[0]+" in all", width, "  "))
		return
	}
	fmt.Fprintln(out, wrapped(row.name, width, "  "))
	for _, line := range c.byState(row.cells) {
		fmt.Fprintln(out, wrapped(line, width, "    "))
	}
}

func allEqual(all []string) bool {
	return !slices.ContainsFunc(all, func(s string) bool { return s != all[0] })
}

// byState returns "state: report, report" for each state, in the order of the reports.
func (c *comparison) byState(states []string) (lines []string) {
	var order []string
	labels := map[string][]string{}
	for i, s := range states {
		if labels[s] == nil {
			order = append(order, s)
		}
		labels[s] = append(labels[s], c.Reports[i].Label)
	}
	for _, s := range order {
		lines = append(lines, s+": "+strings.Join(labels[s], ", "))
	}
	return lines
}

// printChanges prints the changes of one direction.
func (c *comparison) printChanges(out io.Writer, d direction, width int) {
	title := c.directionTitle(d)
	for _, one := range c.Changes {
		if one.Direction != d {
			continue
		}
		if title != "" {
			fmt.Fprintf(out, "\n%s\n", wrapped(title, width, ""))
			title = ""
		}
		fmt.Fprintln(out, wrapped(one.headline(), width, "  "))
		for _, line := range append(one.details(), c.byState(one.States)...) {
			fmt.Fprintln(out, wrapped(line, width, "    "))
		}
	}
}

func (c *comparison) directionTitle(d direction) string {
	first, last := c.Reports[0].Label, c.Reports[len(c.Reports)-1].Label
	switch d {
	case worse:
		return fmt.Sprintf("Worse in %s than in %s:", last, first)
	case still:
		return fmt.Sprintf("Broken in %s and in %s:", first, last)
	case better:
		return fmt.Sprintf("Better in %s than in %s:", last, first)
	case slower:
		return fmt.Sprintf("Slower in %s than in %s, for information:", last, first)
	}
	return "Different in other ways:"
}

// headline names what changed.
func (c reportChange) headline() string {
	switch c.Kind {
	case changedRule:
		return fmt.Sprintf("%s (%s), case %s", c.RuleID, cmp.Or(string(c.Harm), "harm unknown"), c.Case)
	case changedDuration:
		return c.Case
	}
	return fmt.Sprintf("%s: %s", c.claimName(), c.Kind)
}

// claimName is the claim, with its facets if all facets share it.
func (c reportChange) claimName() string {
	if strings.Contains(string(c.Claim), ".") {
		return string(c.Claim)
	}
	var facets []string
	for _, f := range c.Facets {
		facets = append(facets, string(f))
	}
	return fmt.Sprintf("%s (%s)", c.Claim, strings.Join(facets, ", "))
}

// details says what is demanded, or why the claim changed.
func (c reportChange) details() []string {
	if c.Text == "" || c.Kind == changedDuration {
		return nil
	}
	return []string{c.Text}
}
