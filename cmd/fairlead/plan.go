package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead.dev/cmd/fairlead/internal/notrun"
	"fairlead.dev/conformance"
)

// printPlan prints what will not be run, by reason, and the time limits of the run.
func printPlan(out io.Writer, p conformance.Plan) {
	fmt.Fprintf(out, "%s to run, %d not\n", countOf(len(p.Run), "case"), len(p.NotRun))
	rest := map[string]int{}
	n := make([]int, len(notrun.Reasons))
	for _, res := range p.NotRun {
		i := slices.IndexFunc(notrun.Reasons, func(r notrun.Reason) bool { return strings.HasPrefix(res.Reason, r.Prefix) })
		if i < 0 {
			rest[res.Reason]++
			continue
		}
		n[i]++
	}
	for i, r := range notrun.Reasons {
		if n[i] > 0 {
			fmt.Fprintf(out, "not run (%d): %s%s\n", n[i], r.Cases, r.Remedy)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(rest)) {
		fmt.Fprintf(out, "not run (%d): %s\n", rest[reason], reason)
	}
	if len(p.Run) > 0 {
		fmt.Fprintln(out, paceText(p.Pace))
	}
}

// paceText says how long calls take, and what follows for the time limits.
func paceText(p conformance.Pace) string {
	var parts []string
	if p.MaxRate > 0 {
		parts = append(parts, fmt.Sprintf("at most %s in a second (--max-rate)", countOf(p.MaxRate, "call")))
	}
	if p.RoundTrip > 0 {
		parts = append(parts, "round trip "+roundedText(p.RoundTrip))
	}
	limits := "cases may take " + roundedText(p.CaseTime)
	if p.CaseTime > p.UsualCaseTime {
		limits += " instead of " + roundedText(p.UsualCaseTime)
	}
	if len(parts) == 0 {
		return limits
	}
	return strings.Join(parts, ", ") + ": " + limits
}

// countOf returns a number with its noun.
func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// roundedText returns a duration with two or three digits, for example 41ms or 3m.
func roundedText(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= 10*unit {
			d = d.Round(unit)
			break
		}
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
