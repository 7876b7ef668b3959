package main

import (
	"encoding/xml"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
)

var updateBadges = flag.Bool("update-badges", false, "write the badges in testdata/badges")

// reportOfCAS returns a report of a store with one claim, whose rules all ended so.
func reportOfCAS(outcome conformance.Outcome) *conformance.Report {
	r := madeReport("redis", []conformance.ClaimResult{claim("kv.CAS", conformance.Observed, 1, 1)})
	r.Description.Facets[0].Claims = []fairlead.Claim{"kv.CAS"}
	for _, rule := range conformance.Rules() {
		if rule.Facet == fairlead.KV && len(rule.Claims) == 1 && rule.Claims[0] == "kv.CAS" {
			res := result(rule.ID, outcome, 0)
			res.Needs = rule.Claims
			r.Results = append(r.Results, res)
		}
	}
	return r
}

// madeBadges are reports with what their badges must say.
func madeBadges() map[string]struct {
	report *conformance.Report
	says   string
} {
	all, partly, broken, known, undecided := reportOfCAS(conformance.Passed), reportOfCAS(conformance.Passed), reportOfCAS(conformance.Passed), reportOfCAS(conformance.Passed), reportOfCAS(conformance.NotRun)
	n := strconv.Itoa(len(all.Results))
	less := strconv.Itoa(len(all.Results) - 1)
	partly.Results = partly.Results[1:]
	broken.Results[0].Outcome, broken.Conclusion = conformance.Failed, conformance.DoesNotConform
	known.Results[0].Outcome = conformance.KnownFails
	undecided.Conclusion = conformance.Undecided
	return map[string]struct {
		report *conformance.Report
		says   string
	}{
		"conforms":         {all, "conforms: " + n + " of " + n + " rules of 1 claims"},
		"conforms-partly":  {partly, "conforms in what was run: " + less + " of " + n + " rules of 1 claims"},
		"known":            {known, "conforms in what was run: " + less + " of " + n + " rules of 1 claims, 1 known to fail"},
		"does-not-conform": {broken, "does not conform: rules broken: 1 (data lost)"},
		"undecided":        {undecided, "undecided"},
	}
}

// svg is what a test looks at in a badge.
type svg struct {
	Role  string `xml:"role,attr"`
	Label string `xml:"aria-label,attr"`
	Title string `xml:"title"`
	Width int    `xml:"width,attr"`
	Rects []struct {
		X     int    `xml:"x,attr"`
		Width int    `xml:"width,attr"`
		Fill  string `xml:"fill,attr"`
	} `xml:"rect"`
	Texts struct {
		Fill string `xml:"fill,attr"`
		All  []struct {
			X      int    `xml:"x,attr"`
			Length int    `xml:"textLength,attr"`
			Text   string `xml:",chardata"`
		} `xml:"text"`
	} `xml:"g"`
}

// TestBadges: each badge is the one in testdata/badges, says the conclusion also to a
// screen reader, and its texts are within their fields and have contrast.
func TestBadges(t *testing.T) {
	for name, c := range madeBadges() {
		t.Run(name, func(t *testing.T) {
			b, err := badgeSVG(c.report)
			check.NoError(t, err)
			file := filepath.Join("testdata", "badges", name+".svg")
			if *updateBadges {
				check.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				check.NoError(t, os.WriteFile(file, b, 0o644))
			}
			if string(b) != string(read(t, file)) {
				t.Errorf("the badge differs from %s; look at it, and run: go test ./cmd/fairlead -run TestBadges -update-badges\n%s", file, b)
			}
			var s svg
			check.NoError(t, xml.Unmarshal(b, &s))
			checkBadge(t, s, c.says)
			if strings.Count(string(b), "http") != 1 {
				t.Errorf("more addresses than the namespace: %s", b)
			}
		})
	}
}

func checkBadge(t *testing.T, s svg, says string) {
	t.Helper()
	if s.Role != "img" || s.Label != s.Title || !strings.Contains(s.Label, "conformance of redis 7.0: "+says+"; 2026-11-30") {
		t.Errorf("role %q, label %q, title %q", s.Role, s.Label, s.Title)
	}
	if len(s.Rects) != 2 || len(s.Texts.All) != 2 || s.Texts.All[0].Text != "fairlead" || s.Texts.All[1].Text != says {
		t.Fatalf("want two fields, the second one with %q: %+v", says, s)
	}
	for i, field := range s.Rects {
		text := s.Texts.All[i]
		if text.X < field.X || text.X+text.Length > field.X+field.Width || field.X+field.Width > s.Width {
			t.Errorf("field %d: the text is outside: %+v, %+v", i, field, text)
		}
		if ratio := contrast(t, s.Texts.Fill, field.Fill); ratio < 4.5 {
			t.Errorf("field %d: the contrast is %.2f to 1", i, ratio)
		}
	}
}

// contrast is the contrast ratio of two colours, as WCAG 2.2 defines it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light, dark := luminance(t, a), luminance(t, b)
	return (max(light, dark) + 0.05) / (min(light, dark) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		check.NoError(t, err)
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

// TestContrast: the test's own measure is right at the ends.
func TestContrast(t *testing.T) {
	if c := contrast(t, "#ffffff", "#000000"); math.Abs(c-21) > 0.01 {
		t.Errorf("white on black: %v", c)
	}
	if c := contrast(t, "#777777", "#ffffff"); c >= 4.5 || c < 4.4 {
		t.Errorf("grey on white: %v", c)
	}
}

// TestBadgeOfRun: a run writes a badge, and none in the file of another report.
func TestBadgeOfRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "badge.svg")
	code, stdout, stderr := runCommand(t, "conformance", "broken://", "--run", "^kv/put-get$", "--badge", file)
	if code != exitFailure || !strings.Contains(string(read(t, file)), "does not conform: rules broken: 1 (data lost)") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = runCommand(t, "conformance", "mem://", "--run", "^kv/put-get$", "--badge", "-")
	if code != exitOK || !strings.HasPrefix(stdout, "<svg ") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	code, _, stderr = runCommand(t, "conformance", "mem://", "--badge", file, "--json", file)
	if code != exitUsage || !strings.Contains(stderr, "--json and --badge are both") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}
