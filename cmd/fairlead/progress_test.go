package main

import (
	"strings"
	"testing"

	"fairlead.dev/cmd/fairlead/internal/notrun"
	"fairlead.dev/conformance"
)

// TestPlanComesFirst: what is not run is said first, with the flag that changes it, and
// each case has its number.
func TestPlanComesFirst(t *testing.T) {
	_, stdout, _ := runCommand(t, "conformance", "mem://", "--run", "^kv/(put-get|create-new|kill-ttl|full-refused|absent-cas)$", "--parallel", "1")
	lines := strings.Split(stdout, "\n")
	for i, want := range []string{
		"2 cases to run, 3 not",
		"not run (1): cases that kill the backend; to run them, give --kill-command and --start-command",
		"not run (1): cases that fill the backend; to run them, give --fill-command and --free-command",
		"not run (1): cases that test that a missing guarantee is refused",
		"cases may take ",
		"[1/2] ok   kv/",
		"[2/2] ok   kv/",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], want)
		}
	}
}

// TestFailureSaysHowToRepeat: a failure has its rule, what was seen, and the command that
// repeats the case with the flags of the run.
func TestFailureSaysHowToRepeat(t *testing.T) {
	code, stdout, stderr := runCommand(t, "conformance", "broken://", "--run", "^kv/(put-get|create-new)$", "--parallel", "2", "--json", t.TempDir()+"/r.json", "--badge", t.TempDir()+"/b.svg",
		"--kill-command", "redis-cli -u redis://:hidden@host shutdown", "--start-command", "it's")
	want := []string{"FAILED kv/put-get\n    rule:   ", "\n    seen:   ",
		`    repeat: fairlead conformance broken:// --run '^kv/put-get$' --kill-command 'redis-cli -u redis://`, `--parallel 2 --start-command 'it'\''s'`}
	for _, w := range want {
		if !strings.Contains(stdout, w) {
			t.Errorf("exit code %d, no %q in\n%s%s", code, w, stdout, stderr)
		}
	}
	if strings.Contains(stdout, "hidden") || strings.Contains(stdout, "--badge") {
		t.Errorf("a password, or the file of a badge, in\n%s", stdout)
	}
}

// TestMaxRateIsSaid: a run beside other users says its bound first.
func TestMaxRateIsSaid(t *testing.T) {
	code, stdout, stderr := runCommand(t, "conformance", "mem://", "--run", "^kv/put-get$", "--max-rate", "500", "--parallel", "5")
	if code != exitOK || !strings.Contains(stdout, "at most 500 calls in a second (--max-rate)") || !strings.Contains(stdout, "cases may take 2m instead of 1m\n[1/1] ok") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, bad := range []string{"-1", "2000000"} {
		if code, _, stderr := runCommand(t, "conformance", "mem://", "--max-rate", bad); code != exitUsage || !strings.Contains(stderr, "--max-rate is "+bad+"; accepted: 1 to 1000000") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	}
}

func TestRunningText(t *testing.T) {
	names := []string{"kv/put-get", "kv/list-pages", "kv/watch-put"}
	for width, want := range map[int]string{
		100: "kv/put-get, kv/list-pages, kv/watch-put", 38: "kv/put-get, kv/list-pages and 1 more", 30: "kv/put-get and 2 more", 10: "",
	} {
		if got := runningText(names, width); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
}

// TestPlanReasons: every reason for which a case is not run has a line.
func TestPlanReasons(t *testing.T) {
	var b strings.Builder
	var all []conformance.Result
	for _, r := range notrun.Reasons {
		all = append(all, conformance.Result{Reason: r.Prefix})
	}
	printPlan(&b, conformance.Plan{NotRun: append(all, conformance.Result{Reason: "another reason"})})
	if n := strings.Count(b.String(), "\nnot run (1): cases "); n != len(all) || !strings.Contains(b.String(), "not run (1): another reason") {
		t.Errorf("printed\n%s", b.String())
	}
}
