package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/conformance/mutants"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/providers"
)

// Tests look for texts that would wrap on a narrow output.
func init() { _ = os.Setenv("COLUMNS", "1000") }

// broken:// is a provider that fails the case kv/put-get.
func init() {
	providers.Register(providers.Scheme{
		Name: "broken",
		Open: func(ctx context.Context, _ providers.Settings) (fairlead.Provider, error) {
			return mutants.All()[brokenMutant()].Open(ctx)
		},
	})
}

func brokenMutant() int {
	for i, m := range mutants.All() {
		if m.Name == "kv-value-truncated" {
			return i
		}
	}
	panic("the mutant kv-value-truncated is gone")
}

// fairlead runs the command and returns its exit code and what it printed.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodesAndMessages(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		code int
		says string
	}{
		{"passes", "conformance mem:// --run ^kv/put-get$", exitOK, "conforms in what was run"},
		{"fails", "conformance broken:// --run ^kv/put-get$", exitFailure, "1 of 1 cases failed: [kv/put-get]"},
		{"nothing matches", "conformance mem:// --run no-such-case", exitUndecided, "undecided: no case was selected: --run \"no-such-case\" matches no case"},
		{"nothing matches, similar", "conformance mem:// --run kv/put-gte", exitUndecided, "similar names: kv/put-get, "},
		{"nothing runs", "conformance mem:// --run ^kv/kill-ttl$", exitUndecided, "undecided: no case was run: kv/kill-ttl: needs control"},
		{"kill command fails", "conformance mem:// --run ^kv/kill-ttl$ --kill-command false --start-command true", exitUndecided, "the command of --kill-command failed"},
		{"start command fails", "conformance mem:// --run ^rpc/restart$ --kill-command true --start-command false", exitUndecided, "the command of --start-command failed"},
		{"no URL", "conformance", exitUsage, "takes one URL"},
		{"unknown flag", "conformance mem:// --fast", exitUsage, "unknown flag: --fast"},
		{"unknown command", "conform mem://", exitUsage, `unknown command "conform"`},
		{"bad facet", "conformance mem:// --facet kvs", exitUsage, "accepted: open, kv, pubsub, rpc, config"},
		{"bad profile", "conformance mem:// --profile slow", exitUsage, "accepted: quick, full"},
		{"bad pattern", "conformance mem:// --run (", exitUsage, "--run is not a regular expression: error parsing regexp"},
		{"bad scheme", "conformance memory://", exitUsage, `unknown URL scheme "memory"; linked in: broken, `},
		{"bad setting", "describe mem://?histroy=1", exitUsage, `unknown setting "histroy"; accepted: dedupe-window, history`},
		{"half a control", "conformance mem:// --kill-command true", exitUsage, "give --start-command together with --kill-command"},
		{"new what", "new", exitUsage, `"fairlead new" takes a command: one of provider`},
		{"describe", "describe mem://x", exitOK, "kv.SnapshotList"},
		{"clean", "conformance clean mem://", exitOK, "0 names removed"},
		{"unreachable", "conformance redis://:hidden@127.0.0.1:1", exitUndecided, "undecided: the backend cannot be opened, and nothing was run: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			code, stdout, stderr := runCommand(t, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit code %d, want %d and %q; printed\n%s%s", code, c.code, c.says, stdout, stderr)
			}
			if strings.Contains(stdout+stderr, "goroutine ") || strings.Contains(stdout+stderr, "hidden") {
				t.Errorf("a stack trace, or a password, in\n%s%s", stdout, stderr)
			}
			if d := time.Since(began); d > 30*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestReports(t *testing.T) {
	dir := t.TempDir()
	jsonFile, junitFile := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.xml")
	code, stdout, stderr := runCommand(t, "conformance", "broken://", "--run", "^kv/(put-get|absent-cas)$", "--json", jsonFile, "--junit", junitFile)
	if code != exitFailure {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	var report conformance.Report
	if err := json.Unmarshal(read(t, jsonFile), &report); err != nil {
		t.Fatal(err)
	}
	if report.Count(conformance.Failed) != 1 || report.Count(conformance.NotRun) != 1 || report.Provider != "memory" {
		t.Errorf("report %+v", report)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(read(t, junitFile), &suites); err != nil {
		t.Fatal(err)
	}
	if suites.Tests != 2 || suites.Failures != 1 || suites.Skipped != 1 {
		t.Errorf("JUnit: %+v", suites)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestInterruptCleansUp ends a run on a real server early, and looks at what
// is left there. Such a run refutes nothing.
func TestInterruptCleansUp(t *testing.T) {
	server := testbed.Redis(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := &cancelAfter{lines: 5, cancel: cancel}
	var errs bytes.Buffer
	if code := run(ctx, []string{"conformance", server.URL(), "--facet", "kv"}, lines, &errs); code != exitUndecided {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(errs.String(), "undecided: interrupted after") || strings.Contains(lines.text.String(), "refuted") || strings.Contains(lines.text.String(), "FAIL") {
		t.Errorf("printed %s%s", lines.text.String(), errs.String())
	}
	wantStores(t, server.URL(), 0)
}

// cancelAfter cancels when that many lines about cases were written to it.
type cancelAfter struct {
	text   bytes.Buffer
	lines  int
	cancel context.CancelFunc
}

func (c *cancelAfter) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("[")) {
		if c.lines--; c.lines == 0 {
			c.cancel()
		}
	}
	return c.text.Write(b)
}

// wantStores demands that so many stores of the suite are on the server.
func wantStores(t *testing.T, url string, want int) {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	names, err := kv.Stores(t.Context(), p, conformance.Prefix)
	if err != nil || len(names) != want {
		t.Errorf("stores left: %v, %v; want %d", names, err, want)
	}
}

// TestClean removes what a killed run has left, and nothing else.
func TestClean(t *testing.T) {
	url := testbed.Redis(t).URL()
	p, err := fairlead.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	for _, name := range []string{conformance.Prefix + "left", "users"} {
		s, err := kv.Open(t.Context(), p, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "k", []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := runCommand(t, "conformance", "clean", url)
	if code != exitOK || !strings.Contains(stdout, "removed kv "+conformance.Prefix+"left\n1 names removed") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if names, err := kv.Stores(t.Context(), p, ""); err != nil || len(names) != 1 || names[0] != "users" {
		t.Errorf("stores %v, %v", names, err)
	}
}

// TestDescribeSaysWhatIsMissing shows an operator what to change.
func TestDescribeSaysWhatIsMissing(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("appendfsync everysec"))
	code, stdout, stderr := runCommand(t, "describe", server.URL())
	if code != exitOK || !strings.Contains(stdout, "everysec") || !strings.Contains(stdout, "appendfsync always") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
