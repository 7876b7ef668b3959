package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead.dev"
)

//go:generate go test -run TestRules -update .

var update = flag.Bool("update", false, "number new rules, and write rules.txt and docs/rules.md")

const rulesPage = "../docs/rules.md"

// TestRules: each case has a rule with a number that is its own for good, and the page
// of rules is current. Else run "make generate".
func TestRules(t *testing.T) {
	numbered, err := numberRules()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		write(t, "rules.txt", numbered)
		rulesFile = numbered
		ruleIDs = func() map[string]string { return parseRules(numbered) }
		write(t, rulesPage, formatRules(Rules()))
	}
	if numbered != rulesFile {
		t.Error("rules.txt does not have the cases' names; run: make generate")
	}
	page, err := os.ReadFile(rulesPage)
	if err != nil || string(page) != formatRules(Rules()) {
		t.Errorf("docs/rules.md is not current; run: make generate (%v)", err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRuleNumbers: no number is given twice, none is skipped, and each belongs to a
// group.
func TestRuleNumbers(t *testing.T) {
	last := map[string]int{}
	for line := range strings.Lines(rulesFile) {
		id, _, _ := strings.Cut(line, " ")
		g := groupOf(id)
		last[g.id]++
		if want := fmt.Sprintf("%s-%d", g.id, last[g.id]); id != want {
			t.Errorf("the rule %s: want %s, the next number of its group", id, want)
		}
	}
	for _, g := range ruleGroups {
		if last[g.id] == 0 || g.why == "" || !slices.Contains(harms, g.harm) {
			t.Errorf("the group %s has no rule, no reason or no harm", g.id)
		}
	}
}

// TestEveryClaimHasRules: a claim without a rule would be observed by nothing.
func TestEveryClaimHasRules(t *testing.T) {
	for _, f := range fairlead.Facets() {
		for _, info := range ClaimsOf(f) {
			if !slices.ContainsFunc(Rules(), func(r Rule) bool { return r.Facet == f && slices.Contains(r.Claims, info.Claim) }) {
				t.Errorf("%s: no rule needs the claim %s", f, info.Claim)
			}
		}
	}
}

// formatRules returns the page of rules.
func formatRules(all []Rule) string {
	var b strings.Builder
	b.WriteString(`# Rules

The contract of Fairlead, sentence by sentence. Each rule has a number that stays its own, a case of the conformance suite that tests it, and a broken provider that only this case catches. A claim is the set of rules that name it; a rule without a claim holds for every provider that offers the facet. The harm is what a program suffers from a backend that breaks the rule, the worst that is to be expected.

` + "`fairlead conformance URL --run KV-CAS-3`" + ` tests one rule. This page is made from the cases by ` + "`make generate`" + `.
`)
	for _, g := range ruleGroups {
		fmt.Fprintf(&b, "\n## %s\n\n%s Harm: %s.\n\n| rule | what must be so | claims | case |\n|---|---|---|---|\n", g.id, g.why, g.harm)
		for _, r := range all {
			if groupOf(r.ID).id == g.id {
				fmt.Fprintf(&b, "| %s | %s | %s | `%s` |\n", r.ID, escapeCell(r.Text), formatClaims(r.Claims), r.Case)
			}
		}
	}
	return b.String()
}

// escapeCell keeps a text from being read as Markdown.
func escapeCell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`").Replace(text)
}

func formatClaims(claims []fairlead.Claim) string {
	var names []string
	for _, c := range claims {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}
