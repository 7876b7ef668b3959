package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/conformance"
)

// knownFile writes a file for --known.
func knownFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ruleOf returns the identifier of a case's rule.
func ruleOf(name string) string {
	for _, r := range conformance.Rules() {
		if r.Case == name {
			return r.ID
		}
	}
	return ""
}

// TestKnownFailures runs a case that fails and one that passes, with lists of what is
// known to fail.
func TestKnownFailures(t *testing.T) {
	for name, c := range map[string]struct {
		list string
		code int
		says string
	}{
		"fails, as known":   {"- {case: kv/put-get, reason: issue 12, until: 2126-01-31}", exitOK, "known kv/put-get: issue 12 (known until 2126-01-31)"},
		"passes, and known": {"- {case: kv/put-get, reason: issue 12, until: 2126-01-31}\n- {case: kv/create-new, reason: old, until: 2126-01-31}", exitFailure, "take it off the list"},
		"no longer counts":  {"- {case: kv/put-get, reason: issue 12, until: 2026-01-31}", exitFailure, "kv/put-get was a known failure until 2026-01-31 (issue 12): if it fails now, the run fails"},
		"a rule":            {"- {rule: " + ruleOf("kv/put-get") + ", reason: issue 12, until: 2126-01-31}", exitOK, "known kv/put-get: issue 12"},
		"empty":             {"# nothing is known\n", exitFailure, "1 of 2 cases failed"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, "conformance", "broken://", "--run", "^kv/(put-get|create-new)$", "--known", knownFile(t, c.list))
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit code %d, want %d and %q; printed\n%s%s", code, c.code, c.says, stdout, stderr)
			}
		})
	}
}

// TestKnownFileErrors: every field that is wrong is named, with its line.
func TestKnownFileErrors(t *testing.T) {
	for name, c := range map[string]struct {
		list string
		says []string
	}{
		"fields": {"- case: kv/put-gte\n  reason: \"\"\n  untill: 2027-01-31\n- case: kv/get\n  until: soon\n- kv/put-get\n", []string{
			`line 1: case: no case has the name "kv/put-gte"; similar names: kv/put-get, `, "line 2: reason: it is no text", "line 3: untill: unknown field; accepted: case, rule, reason, until",
			"line 1: until: the entry lacks it", "line 4: case: no case", `line 5: until: "soon" is no date`, "line 4: reason: the entry lacks it", "line 6: the entry is no group of fields",
		}},
		"rule": {"- {rule: KV-CAS-999, reason: a, until: 2027-01-31}\n- {rule: " + ruleOf("kv/put-get") + ", case: kv/put-get, reason: a, until: 2027-01-31}", []string{
			`line 1: rule: no rule has the identifier "KV-CAS-999"; similar ones: KV-CAS-`, "line 2: rule: the entry has a case, too"}},
		"twice": {"- {case: kv/put-get, reason: a, until: 2027-01-31}\n- {case: kv/put-get, reason: b, until: 2027-01-31}", []string{
			"line 2: case: kv/put-get is in the entry of line 1 already"}},
		"field twice":   {"- {case: kv/put-get, reason: a, reason: b, until: 2027-01-31}", []string{"line 1: reason: the entry has it twice"}},
		"no list":       {"case: kv/put-get\n", []string{"line 1: the file is no list", "- case: kv/put-get"}},
		"no YAML":       {"- case: [\n", []string{"line"}},
		"two documents": {"- {case: kv/put-get, reason: a, until: 2027-01-31}\n---\n[]\n", []string{"more than one document"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, "conformance", "broken://", "--known", knownFile(t, c.list))
			if code != exitUsage || stdout != "" {
				t.Errorf("exit code %d, printed %s", code, stdout)
			}
			for _, says := range c.says {
				if !strings.Contains(stderr, says) {
					t.Errorf("no %q in\n%s", says, stderr)
				}
			}
		})
	}
	if code, _, stderr := runCommand(t, "conformance", "broken://", "--known", t.TempDir()); code != exitUsage || !strings.Contains(stderr, "--known: ") || !strings.Contains(stderr, "folder") {
		t.Errorf("a folder: exit code %d, %s", code, stderr)
	}
}
