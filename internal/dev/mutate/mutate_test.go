package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestBreaksFit shows that each break still has its place in the code, and its
// test. "make mutate" makes the breaks.
func TestBreaksFit(t *testing.T) {
	t.Chdir("../../..")
	seen := map[string]bool{}
	for _, c := range changes {
		if _, err := c.broken(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if !hasTest(t, c) {
			t.Errorf("%s: %s has no %s", c.what, c.pkg, c.run)
		}
		if seen[c.what] {
			t.Errorf("two breaks are called %q", c.what)
		}
		seen[c.what] = true
	}
}

// hasTest reports whether a test file of the package declares the test.
func hasTest(t *testing.T, c change) bool {
	files, err := os.ReadDir(c.pkg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(c.pkg + "/" + f.Name())
		if strings.HasSuffix(f.Name(), "_test.go") && strings.Contains(string(text), "func "+c.run+"(") {
			return true
		}
	}
	return false
}

// TestPageHasTheBreaks shows that the page in docs has the breaks of the list, and no
// others.
func TestPageHasTheBreaks(t *testing.T) {
	text, err := os.ReadFile("../../../" + pageFile)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(string(text), "\n| ")
	if len(rows) < 3 {
		t.Fatal("the page has no table")
	}
	found := map[string]bool{}
	for _, row := range rows[2:] {
		found["| "+row[:strings.LastIndex(row[:strings.LastIndex(row, "|")], "|")+1]] = true
	}
	for _, c := range changes {
		if !found[pageRow(c)] {
			t.Errorf("%s lacks the break %q; run \"make mutate\"", pageFile, c.what)
		}
		delete(found, pageRow(c))
	}
	for row := range found {
		t.Errorf("%s has a break that is not in the list; run \"make mutate\": %s", pageFile, row)
	}
}

func TestVerdicts(t *testing.T) {
	const timeLimit = "panic: test timed out after 3m0s\nFAIL\tfairlead.dev/kv\n"
	for out, want := range map[string]verdict{
		"--- FAIL: TestX (0.00s)\nFAIL\n":               caught,
		"panic: deadlock: all goroutines are blocked\n": caught,
		"goleak: Errors on successful test run: x\n":    caught,
		"./x.go:1: undefined\nFAIL\tx [build failed]\n": unclear,
		"signal: killed\nFAIL\tfairlead.dev/kv\t0.1s\n": unclear,
		timeLimit: hangs,
	} {
		if got := verdictOf(change{}, out, true); got != want {
			t.Errorf("%q: %s, want %s", out, got, want)
		}
	}
	if got := verdictOf(change{hangs: true}, timeLimit, true); got != byTimeLimit {
		t.Errorf("a break that is said to hang: %s", got)
	}
	if got := verdictOf(change{}, "ok", false); got != survives || got.good() {
		t.Errorf("a test that passes: %s", got)
	}
}

func TestPage(t *testing.T) {
	c := change{what: "it is wrong", file: "kv/a.go", pkg: "./kv", run: "TestX"}
	page := formatPage([]change{c, c}, []verdict{caught, survives}, time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
	for _, part := range []string{
		"2026-11-30; 1 of 2 breaks were caught",
		"| it is wrong | [kv/a.go](../kv/a.go) | `TestX` in `./kv` | SURVIVES |\n",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q:\n%s", part, page)
		}
	}
	if !c.selected(nil) || !c.selected([]string{"no", "a.go"}) || c.selected([]string{"no"}) {
		t.Error("words select other breaks")
	}
}
