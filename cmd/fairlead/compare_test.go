package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/check"
)

// reportOf runs two cases of kv and returns the file of the report.
func reportOf(t *testing.T, dir, name, url string, wantCode int) string {
	t.Helper()
	file := filepath.Join(dir, name+".json")
	if code, stdout, stderr := runCommand(t, "conformance", url, "--run", "^kv/(put-get|create-new)$", "--json", file); code != wantCode {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return file
}

// TestCompareRuns compares real runs of a provider and of one that breaks a rule.
func TestCompareRuns(t *testing.T) {
	dir := t.TempDir()
	good, bad := reportOf(t, dir, "good", "mem://", exitOK), reportOf(t, dir, "bad", "broken://", exitFailure)
	for _, c := range []struct {
		name  string
		files []string
		code  int
		says  []string
	}{
		{"a rule is broken now", []string{good, bad}, exitFailure, []string{"Worse in bad than in good:", "(data lost), case kv/put-get", "held: good", "broken: bad", "bad against good: rules broken: 1"}},
		{"it is mended", []string{bad, good}, exitOK, []string{"Better in good than in bad:", "case kv/put-get", "good against bad: no rule is broken, and no claim is lost"}},
		{"it is broken in both", []string{bad, good, bad}, exitFailure, []string{"Broken in " + bad + " (1) and in " + bad + " (3):"}},
		{"nothing differs", []string{good, good}, exitOK, []string{"no rule is broken"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, slices.Concat([]string{"conformance", "compare"}, c.files)...)
			said := strings.Join(strings.Fields(stdout+stderr), " ")
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, s := range c.says {
				if !strings.Contains(said, s) {
					t.Errorf("does not say %q:\n%s%s", s, stdout, stderr)
				}
			}
		})
	}
}

// TestCompareRefuses: each error names the file.
func TestCompareRefuses(t *testing.T) {
	dir := t.TempDir()
	good := reportOf(t, dir, "good", "mem://", exitOK)
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		check.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		return file
	}
	started := `"provider": "redis", "started": "2026-11-30T10:00:00Z"`
	for _, c := range []struct{ name, file, says string }{
		{"missing", filepath.Join(dir, "none.json"), "no such file"},
		{"a folder", dir, "is a directory"},
		{"not JSON", write("text.json", "PASS"), "is no report: invalid character"},
		{"a list", write("list.json", "[]"), "is no report: "},
		{"other JSON", write("package.json", `{"name": "x"}`), "is no report: it names no provider"},
		{"an older report", write("old.json", `{`+started+`}`), "has schema_version 0, and this command reads version 1"},
		{"a newer report", write("new.json", `{`+started+`, "schema_version": 2}`), "has schema_version 2, and this command reads version 1"},
		{"an unknown verdict", write("verdict.json", `{`+started+`, "schema_version": 1, "claims": [{"claim": "kv.CAS", "verdict": "proven"}]}`), `its verdict "proven" on kv.CAS is unknown`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, "conformance", "compare", good, c.file)
			if code != exitUsage || !strings.Contains(stderr, c.says) || !strings.Contains(stderr, c.file) {
				t.Errorf("exit code %d, want %q and the file:\n%s%s", code, c.says, stdout, stderr)
			}
		})
	}
	if code, _, stderr := runCommand(t, "conformance", "compare", good); code != exitUsage || !strings.Contains(stderr, "two or more reports") {
		t.Errorf("one file: exit code %d, %s", code, stderr)
	}
}

// madeReport is a report of a backend with one facet. claims are its verdicts.
func madeReport(provider string, claims []conformance.ClaimResult, results ...conformance.Result) *conformance.Report {
	r := &conformance.Report{
		Provider: provider, Transport: "direct", Profile: conformance.Full, Started: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
		Conclusion: conformance.Conforms, Claims: claims, Results: results,
		Description: fairlead.Description{Provider: provider, Version: "7.0", Facets: []fairlead.FacetDescription{{Facet: fairlead.KV}}},
	}
	return r
}

func claim(name fairlead.Claim, v conformance.Verdict, held, rules int) conformance.ClaimResult {
	return conformance.ClaimResult{Facet: fairlead.KV, Claim: name, Verdict: v, Held: held, Rules: rules}
}

// TestCompareClaims: a claim that is lost, or that has weaker evidence, makes the
// comparison worse; one with other evidence that is as strong does not.
func TestCompareClaims(t *testing.T) {
	const name = fairlead.Claim("kv.CAS")
	observed := claim(name, conformance.Observed, 5, 5)
	for _, c := range []struct {
		name        string
		first, last conformance.ClaimResult
		want        changeKind
		worse       bool
	}{
		{"lost", observed, claim(name, conformance.NotClaimed, 0, 0), claimLost, true},
		{"gained", claim(name, conformance.NotClaimed, 0, 0), observed, claimGained, false},
		{"another rule applies", observed, claim(name, conformance.PartlyObserved, 5, 6), "", false},
		{"interrupted", observed, claim(name, conformance.CutShort, 3, 5), claimWeaker, true},
		{"asserted only", claim(name, conformance.SurvivedKills, 2, 2), claim(name, conformance.AssertedByOperator, 2, 2), claimWeaker, true},
		{"power cut", claim(name, conformance.SurvivedKills, 2, 2), claim(name, conformance.SurvivedPowerLoss, 2, 2), claimStronger, false},
		{"neither", claim(name, conformance.NotClaimed, 0, 0), claim(name, conformance.NotClaimed, 0, 0), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := compareReports([]string{"a.json", "b.json"}, []*conformance.Report{
				madeReport("redis", []conformance.ClaimResult{c.first}), madeReport("redis", []conformance.ClaimResult{c.last}),
			})
			var kind changeKind
			if len(got.Changes) > 0 {
				kind = got.Changes[0].Kind
			}
			if kind != c.want || got.Worse != c.worse || len(got.Changes) > 1 {
				t.Errorf("%+v, worse %v; want %q, %v", got.Changes, got.Worse, c.want, c.worse)
			}
		})
	}
}

// TestCompareRulesTried: evidence is weaker if a rule that held was not tried again
// although it applies.
func TestCompareRulesTried(t *testing.T) {
	report := func(outcome conformance.Outcome, claims ...fairlead.Claim) *conformance.Report {
		res := result("KV-CAS-1", outcome, 0)
		res.Needs = []fairlead.Claim{"kv.CAS", "kv.Txn"}
		r := madeReport("redis", []conformance.ClaimResult{claim("kv.CAS", conformance.PartlyObserved, 3, 5)}, res)
		r.Description.Facets[0].Claims = claims
		return r
	}
	held := report(conformance.Passed, "kv.CAS", "kv.Txn")
	for _, c := range []struct {
		name        string
		first, last *conformance.Report
		want        changeKind
		worse       bool
	}{
		{"not tried again", held, report(conformance.NotRun, "kv.CAS", "kv.Txn"), claimWeaker, true},
		{"could not run", held, report(conformance.CouldNotRun, "kv.CAS", "kv.Txn"), claimWeaker, true},
		{"does not apply", held, report(conformance.NotRun, "kv.CAS"), "", false},
		{"tried now", report(conformance.NotRun, "kv.CAS", "kv.Txn"), held, claimStronger, false},
		{"held again", held, held, "", false},
	} {
		got := compareReports([]string{"a", "b"}, []*conformance.Report{c.first, c.last})
		var kind changeKind
		for _, one := range got.Changes {
			if one.Claim == "kv.CAS" {
				kind = one.Kind
			}
		}
		if kind != c.want {
			t.Errorf("%s: %+v, want %q", c.name, got.Changes, c.want)
		}
		if c.worse && !got.Worse {
			t.Errorf("%s: not worse", c.name)
		}
	}
}

// TestCompareFacetsNotRun: a facet that the last run left out has no evidence there, and
// one that the last backend does not offer is lost.
func TestCompareFacetsNotRun(t *testing.T) {
	first := madeReport("redis", []conformance.ClaimResult{claim("kv.CAS", conformance.Observed, 5, 5)})
	leftOut := madeReport("redis", nil)
	leftOut.Description.Facets[0].Claims = []fairlead.Claim{"kv.CAS"}
	notOffered := madeReport("redis", nil)
	notOffered.Description.Facets = nil
	for _, c := range []struct {
		name string
		last *conformance.Report
		want changeKind
		text string
	}{{"left out", leftOut, claimWeaker, "no case of kv was selected"}, {"not offered", notOffered, claimLost, "the facet kv is not offered"}} {
		got := compareReports([]string{"a", "b"}, []*conformance.Report{first, c.last})
		if len(got.Changes) != 1 || got.Changes[0].Kind != c.want || got.Changes[0].Text != c.text || !got.Worse {
			t.Errorf("%s: %+v", c.name, got.Changes)
		}
	}
}

func result(rule string, outcome conformance.Outcome, took time.Duration) conformance.Result {
	return conformance.Result{Case: "kv/" + strings.ToLower(rule), Facet: fairlead.KV, RuleID: rule, Rule: "the text of " + rule, Outcome: outcome, Duration: took}
}

// TestCompareRules: the most harmful rule comes first. A rule that is known to be broken
// in the last run counts only if it held in the first one.
func TestCompareRules(t *testing.T) {
	var cosmetic, lost string
	for _, r := range conformance.Rules() {
		switch r.Harm {
		case conformance.Cosmetic:
			cosmetic = r.ID
		case conformance.DataLost:
			lost = r.ID
		}
	}
	compare := func(first, last []conformance.Result) *comparison {
		return compareReports([]string{"a", "b"}, []*conformance.Report{madeReport("redis", nil, first...), madeReport("redis", nil, last...)})
	}
	got := compare(
		[]conformance.Result{result(cosmetic, conformance.Passed, 0), result(lost, conformance.Passed, 0)},
		[]conformance.Result{result(cosmetic, conformance.Failed, 0), result(lost, conformance.Hung, 0)})
	if len(got.Changes) != 2 || got.Changes[0].RuleID != lost || got.Changes[1].RuleID != cosmetic || !got.Worse {
		t.Errorf("by harm: %+v", got.Changes)
	}
	for _, c := range []struct {
		name        string
		first, last conformance.Outcome
		want        direction
		worse       bool
	}{
		{"known in both", conformance.KnownFails, conformance.KnownFails, still, false},
		{"known since", conformance.Failed, conformance.KnownFails, still, false},
		{"known, and held before", conformance.Passed, conformance.KnownFails, worse, true},
		{"no longer known", conformance.KnownFails, conformance.Failed, still, true},
		{"not tried before", conformance.NotRun, conformance.Failed, worse, true},
		{"not tried now", conformance.Failed, conformance.CouldNotRun, different, false},
		{"passes again", conformance.KnownFails, conformance.Unexpected, better, false},
		{"never tried", conformance.NotRun, conformance.Passed, "", false},
	} {
		got := compare([]conformance.Result{result(lost, c.first, 0)}, []conformance.Result{result(lost, c.last, 0)})
		var d direction
		if len(got.Changes) == 1 {
			d = got.Changes[0].Direction
		}
		if d != c.want || got.Worse != c.worse {
			t.Errorf("%s: %+v, worse %v", c.name, got.Changes, got.Worse)
		}
	}
}

// TestCompareDurations: a duration is never more than information.
func TestCompareDurations(t *testing.T) {
	for _, c := range []struct {
		first, last time.Duration
		want        int
	}{
		{time.Second, 6 * time.Second, 1},
		{time.Second, 4 * time.Second, 0},             // less than five times
		{time.Millisecond, 900 * time.Millisecond, 0}, // less than a second
		{6 * time.Second, time.Second, 0},
	} {
		got := compareReports([]string{"a", "b"}, []*conformance.Report{
			madeReport("redis", nil, result("KV-CAS-1", conformance.Passed, c.first)), madeReport("redis", nil, result("KV-CAS-1", conformance.Passed, c.last)),
		})
		if len(got.Changes) != c.want || got.Worse {
			t.Errorf("%v, %v: %+v, worse %v", c.first, c.last, got.Changes, got.Worse)
		}
	}
}

// sixReports are reports of six backends, with long names.
func sixReports() ([]string, []*conformance.Report) {
	var files []string
	var reports []*conformance.Report
	for i := range 6 {
		var claims []conformance.ClaimResult
		for j, info := range conformance.ClaimsOf(fairlead.KV) {
			c := claim(info.Claim, conformance.Verdicts()[(i+j)%len(conformance.Verdicts())], j, j+1)
			claims = append(claims, c)
		}
		files = append(files, fmt.Sprintf("dir/redis-everysec-%d.json", i+1))
		outcome := []conformance.Outcome{conformance.Passed, conformance.Failed, conformance.NotRun}[i%3]
		reports = append(reports, madeReport("redis", claims, result("KV-CAS-1", outcome, time.Second)))
	}
	return files, reports
}

// TestCompareFitsTheWidth: no line is longer than the output is wide.
func TestCompareFitsTheWidth(t *testing.T) {
	files, reports := sixReports()
	for _, width := range []int{40, 80, 160} {
		for n := 2; n <= len(files); n++ {
			t.Setenv("COLUMNS", fmt.Sprint(width))
			var out bytes.Buffer
			compareReports(files[:n], reports[:n]).print(&out)
			for _, line := range strings.Split(out.String(), "\n") {
				if w := len([]rune(line)); w > width {
					t.Errorf("%d reports, %d columns: a line of %d: %s", n, width, w, line)
				}
			}
			for _, info := range conformance.ClaimsOf(fairlead.KV) {
				if !strings.Contains(out.String(), string(info.Claim)) {
					t.Errorf("%d reports, %d columns: %s is missing", n, width, info.Claim)
				}
			}
		}
	}
}

// TestCompareFormats: the JSON has a verdict for each report, and the Markdown a cell.
func TestCompareFormats(t *testing.T) {
	dir := t.TempDir()
	good, bad := reportOf(t, dir, "good", "mem://", exitOK), reportOf(t, dir, "bad|<b>", "broken://", exitFailure)
	code, stdout, _ := runCommand(t, "conformance", "compare", "--json", good, bad)
	var c comparison
	check.NoError(t, json.Unmarshal([]byte(stdout), &c))
	if code != exitFailure || !c.Worse || len(c.Reports) != 2 || len(c.Claims) == 0 || c.Changes[0].Harm != conformance.DataLost {
		t.Errorf("exit code %d, %+v", code, c)
	}
	for _, claim := range c.Claims {
		if len(claim.Verdicts) != 2 {
			t.Errorf("%s: %+v", claim.Claim, claim.Verdicts)
		}
	}
	code, stdout, _ = runCommand(t, "conformance", "compare", "--markdown", good, bad)
	for _, s := range []string{`| good | bad\|&lt;b&gt; |`, "| kv.CAS | ", "- KV-"} {
		if !strings.Contains(stdout, s) {
			t.Errorf("the Markdown lacks %q:\n%s", s, stdout)
		}
	}
	if code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	if code, _, stderr := runCommand(t, "conformance", "compare", "--json", "--markdown", good, bad); code != exitUsage {
		t.Errorf("two formats: exit code %d, %s", code, stderr)
	}
}
