package conformance_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/conformance/mutants"
)

// brokenVar is the environment variable that makes TestBrokenProvider run.
const brokenVar = "FAIRLEAD_TEST_BROKEN"

// TestBrokenProvider fails in a process of its own, which TestSubtests starts: its
// provider cuts values.
func TestBrokenProvider(t *testing.T) {
	if os.Getenv(brokenVar) == "" {
		return
	}
	i := slices.IndexFunc(mutants.All(), func(m mutants.Mutant) bool { return m.Name == "kv-value-truncated" })
	conformance.Test(t, mutants.All()[i].Open, conformance.WithCases("kv/put-get", "kv/create-new", "kv/kill-ttl"))
}

// testBroken runs TestBrokenProvider, and returns the output. run is the value of
// -test.run.
func testBroken(t *testing.T, run string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run="+run)
	cmd.Env = append(os.Environ(), brokenVar+"=1")
	out, err := cmd.CombinedOutput()
	if ended := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return string(out)
}

// TestSubtests: the flags of go test select cases, and a case that fails says its rule
// and the command that repeats it.
func TestSubtests(t *testing.T) {
	for _, c := range []struct {
		run     string
		has     []string
		without string
	}{
		{"^TestBrokenProvider$", []string{"cases=2", "--- PASS: TestBrokenProvider/kv/create-new", "--- FAIL: TestBrokenProvider/kv/put-get", "the rule: "}, "kill-ttl"},
		{"^TestBrokenProvider$/^kv$/^create-new$", []string{"cases=1", "--- PASS: TestBrokenProvider/kv/create-new"}, "put-get"},
		{"^TestBrokenProvider$/kv/no-such", []string{"cases=0", "--- PASS: TestBrokenProvider"}, "FAIL"},
	} {
		out := testBroken(t, c.run)
		for _, want := range c.has {
			if !strings.Contains(out, want) {
				t.Errorf("-run %s: no %q in\n%s", c.run, want, out)
			}
		}
		if strings.Contains(out, c.without) {
			t.Errorf("-run %s: %q in\n%s", c.run, c.without, out)
		}
	}
}

// TestRepeatCommand runs the case that the printed command names.
func TestRepeatCommand(t *testing.T) {
	out := testBroken(t, "^TestBrokenProvider$")
	m := regexp.MustCompile(`to repeat this case: go test -v -count=1 -run '(.*)' fairlead\.dev/conformance\n`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no command in\n%s", out)
	}
	if again := testBroken(t, m[1]); !strings.Contains(again, "--- FAIL: TestBrokenProvider/kv/put-get") || !strings.Contains(again, "cases=1") {
		t.Errorf("%s ran\n%s", m[0], again)
	}
}

// TestParallelSubtests: as many cases run at once as WithParallel says, whatever
// -parallel is.
func TestParallelSubtests(t *testing.T) {
	const parallel = 3
	var opened atomic.Int32
	all := make(chan struct{})
	open := func(ctx context.Context) (fairlead.Provider, error) {
		if n := opened.Add(1); n == 1+parallel { // the first one is the run's own
			close(all)
		} else if n > 1 {
			select {
			case <-all:
			case <-time.After(20 * time.Second):
				return nil, errors.New("the other cases do not run meanwhile")
			}
		}
		return fairlead.Open(ctx, "mem://parallel-subtests")
	}
	conformance.Test(t, open, conformance.WithParallel(parallel), conformance.WithCases("open/await-closed", "open/close-twice", "open/closed"))
}
