package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// marker is what a test logs; put together here so that this program's own
// tests cannot be taken for a provider's.
const marker = "fairlead-provider" + "-ran: "

func TestSummary(t *testing.T) {
	passing := `import "testing"
		func TestA(t *testing.T) { t.Log("quiet") }
		func TestB(t *testing.T) { t.Run("one", func(*testing.T) {}); t.Run("two", func(*testing.T) {}) }`
	provider := `import "testing"
		func TestP(t *testing.T) { t.Log("fairlead-provider-" + "ran: memory direct cases=12") }`
	for _, c := range []struct {
		name, test string
		expected   []string
		ok         bool
		last       string
		has        []string
		hasNot     []string
	}{
		{name: "all pass", test: passing, ok: true, last: "3 passed, 0 failed",
			has: []string{"ok  \texample.test/p\t", "providers that ran: none"}, hasNot: []string{"quiet", "FAILED"}},
		{name: "a failure is counted once and printed", last: "1 passed, 1 failed",
			test: `import "testing"
				func TestA(t *testing.T) { t.Run("good", func(*testing.T) {}); t.Run("bad", func(t *testing.T) { t.Error("the reason") }) }`,
			has: []string{"the reason", "FAIL: example.test/p TestA/bad", "FAILED", "FAIL\texample.test/p\t"}},
		{name: "a parent's own failure counts", last: "1 passed, 1 failed",
			test: `import "testing"
				func TestA(t *testing.T) { t.Run("good", func(*testing.T) {}); t.Error("after") }`,
			has: []string{"FAIL: example.test/p TestA\n"}},
		{name: "a skip fails", last: "0 passed, 1 failed",
			test: `import "testing"
				func TestA(t *testing.T) { t.Skip("this is the input: a skip that the summary has to refuse") }`,
			has: []string{"no test may skip", "a skip that the summary has to refuse"}},
		{name: "a build failure", last: "0 passed, 1 failed",
			test: `import "testing"
				func TestA(t *testing.T) { undefinedName() }`,
			has: []string{"undefined: undefinedName", "FAIL\texample.test/p\t"}},
		{name: "a panic", last: "0 passed, 1 failed",
			test: `import "testing"
				func TestA(t *testing.T) { panic("the bottom fell out") }`,
			has: []string{"the bottom fell out"}},
		{name: "the test program exits", last: "0 passed, 1 failed",
			test: `import ("os"; "testing")
				func TestA(t *testing.T) { println("last words"); os.Exit(7) }`,
			has: []string{"last words"}},
		{name: "TestMain fails after good tests", last: "1 passed, 1 failed",
			test: `import ("os"; "testing")
				func TestA(t *testing.T) {}
				func TestMain(m *testing.M) { m.Run(); println("a leak"); os.Exit(1) }`,
			has: []string{"a leak"}},
		{name: "no tests", last: "0 passed, 1 failed", test: "", has: []string{"no test ran"}},
		{name: "a provider ran", test: provider, expected: []string{"memory"}, ok: true, last: "1 passed, 0 failed",
			has: []string{"providers that ran: memory direct (12 cases)"}},
		{name: "what was measured", ok: true, last: "1 passed, 0 failed",
			test: `import "testing"
				func TestM(t *testing.T) { t.Log("measured: 5 parsecs") }`,
			has: []string{"measured:\nTestM: 5 parsecs\n"}},
		{name: "a provider is missing", test: provider, expected: []string{"memory", "redis"}, last: "1 passed, 1 failed",
			has: []string{"provider redis did not run"}, hasNot: []string{"provider memory did not run"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, ok := summarize(t, goTest(t, c.test), c.expected)
			if ok != c.ok {
				t.Errorf("ok = %t", ok)
			}
			if !strings.HasSuffix(out, "\n"+c.last+"\n") {
				t.Errorf("the last line is not %q", c.last)
			}
			for _, want := range c.has {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, not := range c.hasNot {
				if strings.Contains(out, not) {
					t.Errorf("%q is there", not)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func TestOutputThatBreaksOff(t *testing.T) {
	in := `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"so far\n"}
`
	out, ok := summarize(t, in, nil)
	if ok || !strings.Contains(out, "so far") || !strings.Contains(out, "breaks off") || !strings.HasSuffix(out, "\n0 passed, 1 failed\n") {
		t.Errorf("ok = %t, output:\n%s", ok, out)
	}
}

func TestForeignLinesArePassedOn(t *testing.T) {
	out, _ := summarize(t, "go: cannot find module\n{}\nno newline", nil)
	for _, want := range []string{"go: cannot find module\n", "{}\n", "no newline"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing from\n%s", want, out)
		}
	}
}

func TestProvidersRan(t *testing.T) {
	r := providersRan{}
	for _, line := range []string{
		"    x_test.go:1: " + marker + "redis direct cases=3\n",
		marker + "memory plugin cases=2", marker + "memory direct cases=1", marker + "memory direct cases=10",
		marker + "etcd direct cases=0", marker + "nats direct", marker + "nats direct cases=-1", "unrelated",
	} {
		r.addLine(line)
	}
	if r.cases("memory") != 13 || r.cases("redis") != 3 || r.cases("etcd") != 0 || r.cases("nats") != 0 {
		t.Errorf("counted %v", r)
	}
	want := "etcd direct (0 cases), memory direct (11 cases), memory plugin (2 cases), redis direct (3 cases)"
	if r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
}

func summarize(t *testing.T, in string, expected []string) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	s := newSummary(&out)
	if err := s.read(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	ok := s.finish(expected)
	return out.String(), ok
}

// goTest runs "go test -json" on a package with one test file (none, if test is
// empty) and returns its output: the real format, not our idea of it.
func goTest(t *testing.T, test string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"go.mod": "module example.test/p\n\ngo 1.26\n", "p.go": "package p\n"}
	if test != "" {
		files["p_test.go"] = "package p\n" + test
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-vet=off", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output() // fails if a test does
	if len(out) == 0 {
		t.Fatal(fmt.Errorf("go test printed nothing: %w", err))
	}
	return string(out)
}
