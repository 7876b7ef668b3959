package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// comparison is several reports side by side, and what changed from the first one to
// the last one.
type comparison struct {
	Reports []comparedReport `json:"reports"`
	Claims  []comparedClaim  `json:"claims"`
	// Changes are grouped by direction, and in each group ordered by harm.
	Changes []reportChange `json:"changes"`
	// Worse: the last report breaks a rule, or a claim of the first one is lost or has
	// weaker evidence there.
	Worse   bool   `json:"worse"`
	Summary string `json:"summary"`

	reports []*conformance.Report
}

// comparedReport is the head of one report.
type comparedReport struct {
	Label      string                 `json:"label"` // the file's name without its extension, or the file
	File       string                 `json:"file"`
	Provider   string                 `json:"provider"`
	Version    string                 `json:"version,omitempty"`
	Transport  string                 `json:"transport"`
	Profile    conformance.Profile    `json:"profile"`
	Started    time.Time              `json:"started"`
	Duration   time.Duration          `json:"duration_ns"`
	Kills      int                    `json:"kills"` // how often the backend was killed
	PowerCut   bool                   `json:"power_cut,omitempty"`
	Conclusion conformance.Conclusion `json:"conclusion"`
	Because    string                 `json:"because,omitempty"`
	Held       int                    `json:"rules_held"`
	Broken     int                    `json:"rules_broken"`
	NotTried   int                    `json:"rules_not_tried"` // and they apply
}

// compareReports compares reports that were read from files.
func compareReports(files []string, reports []*conformance.Report) *comparison {
	c := &comparison{reports: reports, Claims: compareClaims(reports)}
	labels := labelReports(files)
	for i, r := range reports {
		c.Reports = append(c.Reports, newComparedReport(labels[i], files[i], r))
	}
	c.addChanges()
	c.summarize()
	return c
}

func newComparedReport(label, file string, r *conformance.Report) comparedReport {
	head := comparedReport{
		Label: label, File: file, Provider: r.Provider, Version: r.Description.Version, Transport: r.Transport, Profile: r.Profile,
		Started: r.Started, Duration: r.Duration, PowerCut: r.PowerCut, Conclusion: r.Conclusion, Because: r.Because,
	}
	for _, res := range r.Results {
		head.Kills += res.Kills
		switch state := stateOf(res); {
		case state == ruleHeld:
			head.Held++
		case state.isBroken():
			head.Broken++
		case doesApply(r, res.Facet, res.Needs):
			head.NotTried++
		}
	}
	return head
}

// labelReports returns a name for each report: the name of its file without the
// extension where that tells them apart, otherwise the file.
func labelReports(files []string) []string {
	labels := make([]string, len(files))
	for i, file := range files {
		labels[i] = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	if !areDistinct(labels) {
		copy(labels, files)
	}
	if !areDistinct(labels) {
		for i := range labels {
			labels[i] = fmt.Sprintf("%s (%d)", files[i], i+1)
		}
	}
	return labels
}

func areDistinct(all []string) bool {
	seen := map[string]bool{}
	for _, s := range all {
		seen[s] = true
	}
	return len(seen) == len(all)
}

// comparedClaim is the evidence for one claim of one facet in each report.
type comparedClaim struct {
	Facet    fairlead.Facet    `json:"facet"`
	Claim    fairlead.Claim    `json:"claim"`
	Rule     string            `json:"rule"`
	Verdicts []comparedVerdict `json:"verdicts"` // one for each report
}

// comparedVerdict is the evidence for a claim in one report.
type comparedVerdict struct {
	Verdict  conformance.Verdict `json:"verdict"`
	Held     int                 `json:"held"`
	Rules    int                 `json:"rules"`
	Broken   []string            `json:"broken,omitempty"` // the numbers of the broken rules, the most harmful first
	Evidence string              `json:"evidence,omitempty"`
}

// compareClaims returns the claims of the facets that a report has cases of, in the
// order of the facets, the claims that all facets share last.
func compareClaims(reports []*conformance.Report) (all []comparedClaim) {
	for _, f := range fairlead.Facets() {
		for _, info := range claimsIn(reports, f) {
			c := comparedClaim{Facet: f, Claim: info.Claim, Rule: info.Rule}
			for _, r := range reports {
				c.Verdicts = append(c.Verdicts, verdictIn(r, f, info.Claim))
			}
			all = append(all, c)
		}
	}
	return all
}

// claimsIn returns the claims of a facet, if a report judges one of them. It adds the
// claims in reports that this version does not know.
func claimsIn(reports []*conformance.Report, f fairlead.Facet) []fairlead.ClaimInfo {
	infos := conformance.ClaimsOf(f)
	known := map[fairlead.Claim]bool{}
	for _, info := range infos {
		known[info.Claim] = true
	}
	judged := false
	for _, r := range reports {
		for _, c := range r.Claims {
			if c.Facet != f {
				continue
			}
			judged = true
			if !known[c.Claim] {
				known[c.Claim] = true
				infos = append(infos, fairlead.ClaimInfo{Claim: c.Claim, Rule: c.Rule})
			}
		}
	}
	if !judged {
		return nil
	}
	return infos
}

// verdictIn returns the evidence for a claim in a report, also if the report has no
// cases of the facet.
func verdictIn(r *conformance.Report, f fairlead.Facet, claim fairlead.Claim) comparedVerdict {
	for _, c := range r.Claims {
		if c.Facet == f && c.Claim == claim {
			v := comparedVerdict{Verdict: c.Verdict, Held: c.Held, Rules: c.Rules, Evidence: c.Evidence()}
			for _, b := range c.Broken {
				v.Broken = append(v.Broken, b.ID)
			}
			return v
		}
	}
	for _, fd := range conformance.Facets(r.Description) {
		if fd.Facet != f {
			continue
		}
		if m, lacks := claim.Check(fd); lacks {
			return comparedVerdict{Verdict: conformance.NotClaimed, Evidence: reasonText(m.Reason, m.Remedy)}
		}
		return comparedVerdict{Verdict: conformance.NotTried, Evidence: fmt.Sprintf("no case of %s was selected", f)}
	}
	return comparedVerdict{Verdict: conformance.NotClaimed, Evidence: fmt.Sprintf("the facet %s is not offered", f)}
}
