package page

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/cmd/fairlead/internal/notrun"
	"fairlead.dev/conformance"
)

// todo is one thing to do about a report, and a link to the part of the page that says
// more.
type todo struct{ Text, Link string }

// sortByHarm puts what the provider has broken first, by harm, and then what could not
// run.
func sortByHarm(cases []caseView) {
	order := conformance.Harms()
	rank := func(c caseView) int {
		if !c.Bad() {
			return len(order)
		}
		return slices.Index(order, c.Rule.Harm)
	}
	slices.SortStableFunc(cases, func(a, b caseView) int { return rank(a) - rank(b) })
}

// consequence says what a broken rule means for a program.
var consequence = map[conformance.Harm]string{
	conformance.DataLost:    "Do not keep data there that must not be lost, until this is mended",
	conformance.SecretShown: "Change the secret, and do not share logs",
	conformance.OrderBroken: "Do not rely on the order, or on reads of the last state, until this is mended",
	conformance.Late:        "Expect calls or programs that hang, or come late",
	conformance.Cosmetic:    "Nothing is lost; do not rely on the code or text",
}

// todos lists what to do about a report, the most urgent first.
func todos(r *conformance.Report, failed []caseView) []todo {
	var all []todo
	for _, c := range failed {
		if c.Bad() {
			all = append(all, todo{fmt.Sprintf("%s (%s): broken is “%s”. %s.", c.RuleID, c.Rule.Harm, c.Rule.Text, consequence[c.Rule.Harm]), "#" + slug(c.Case)})
		}
	}
	for _, c := range failed {
		if c.Outcome == conformance.CouldNotRun {
			all = append(all, todo{fmt.Sprintf("%s could not run: %s", c.Case, c.Reason), "#" + slug(c.Case)})
		}
	}
	all = append(all, unkilled(r)...)
	all = append(all, asserted(r)...)
	all = append(all, untried(r)...)
	all = append(all, undurable(r)...)
	for _, left := range r.Leftovers {
		all = append(all, todo{"Left on the backend: " + left, ""})
	}
	return all
}

// unkilled says which claims of durability were not tried by a kill.
func unkilled(r *conformance.Report) []todo {
	var names []string
	link := ""
	for _, c := range r.Claims {
		if isDurability(c.Claim) && c.Verdict != conformance.NotClaimed && c.Kills == 0 && len(c.Broken) == 0 {
			names = append(names, fmt.Sprintf("%s (%s)", c.Claim, c.Facet))
			link = "#" + slug(c.Facet, c.Claim)
		}
	}
	if names == nil {
		return nil
	}
	return []todo{{"Not tried by a kill: " + strings.Join(names, ", ") + ". Give --kill-command and --start-command, and --profile full.", link}}
}

// asserted says which claims rest on the word of the operator.
func asserted(r *conformance.Report) []todo {
	var names []string
	var link, basis string
	for _, c := range r.Claims {
		if c.Verdict == conformance.AssertedByOperator {
			names = append(names, fmt.Sprintf("%s (%s)", c.Claim, c.Facet))
			link, basis = "#"+slug(c.Facet, c.Claim), c.Basis.Detail
		}
	}
	if names == nil {
		return nil
	}
	return []todo{{fmt.Sprintf("Asserted, and not verified: %s. Nothing here can check %s: a kill keeps what the operating system has not written to its disk. Let the provider read the server's settings, or cut the power during a run (--cut-command).",
		strings.Join(names, ", "), basis), link}}
}

// undurable says what to change so that durability holds, once for each reason.
func undurable(r *conformance.Report) []todo {
	var all []todo
	names := map[string][]string{}
	var reasons []conformance.ClaimResult
	for _, c := range r.Claims {
		if c.Verdict != conformance.NotClaimed || c.Remedy == "" || !isDurability(c.Claim) {
			continue
		}
		if names[c.Reason] == nil {
			reasons = append(reasons, c)
		}
		names[c.Reason] = append(names[c.Reason], fmt.Sprintf("%s (%s)", c.Claim, c.Facet))
	}
	for _, c := range reasons {
		all = append(all, todo{fmt.Sprintf("Not claimed: %s. The cause: %s. To change this: %s", strings.Join(names[c.Reason], ", "), c.Reason, c.Remedy), "#" + slug(c.Facet, c.Claim)})
	}
	return all
}

func isDurability(c fairlead.Claim) bool {
	return c == fairlead.DurableFsync || c == fairlead.DurableQuorum
}

// untried says how to try what was not tried.
func untried(r *conformance.Report) []todo {
	var all []todo
	for _, reason := range notrun.Reasons {
		n := 0
		for _, res := range r.Results {
			if res.Outcome == conformance.NotRun && strings.HasPrefix(res.Reason, reason.Prefix) {
				n++
			}
		}
		if n > 0 && reason.CanChange {
			all = append(all, todo{fmt.Sprintf("Not run: %d %s%s.", n, reason.Cases, reason.Remedy), ""})
		}
	}
	return all
}
