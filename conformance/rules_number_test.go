package conformance

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev/conformance/internal/suite"
)

// numberRules returns the content that the file of rules must have: what it has, with
// the next number of its group for each new case, and "-" in place of a case that is
// no more. It fails if no group's words fit a new case.
func numberRules() (string, error) {
	all := allCases()
	isCase := func(name string) bool {
		return slices.ContainsFunc(all, func(c suite.Case) bool { return c.Name == name })
	}
	var b strings.Builder
	last := map[string]int{}
	for line := range strings.Lines(rulesFile) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !isCase(name) {
			name = "-"
		}
		last[groupOf(id).id]++
		fmt.Fprintln(&b, id, name)
	}
	for _, c := range all {
		if ruleID(c.Name) != "" {
			continue
		}
		g, ok := groupFor(c.Name)
		if !ok {
			return "", fmt.Errorf("the case %s belongs to no group of rules: add a word of its name to one in conformance/rule_groups.go", c.Name)
		}
		last[g.id]++
		fmt.Fprintf(&b, "%s-%d %s\n", g.id, last[g.id], c.Name)
	}
	return b.String(), nil
}

// groupFor returns the group of a case by its name, for a case that has no rule yet.
func groupFor(caseName string) (ruleGroup, bool) {
	var best ruleGroup
	longest := 0
	for _, g := range ruleGroups {
		facet, _, _ := strings.Cut(g.id, "-")
		for _, w := range g.words {
			prefix := strings.ToLower(facet) + "/" + w
			if (caseName == prefix || strings.HasPrefix(caseName, prefix+"-")) && len(w) > longest {
				best, longest = g, len(w)
			}
		}
	}
	return best, longest > 0
}
