package mutants

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/conformance"
)

// TestEveryMutantIsCaught runs each mutant against the cases that it names,
// and then looks for cases that none fails.
func TestEveryMutantIsCaught(t *testing.T) {
	t.Parallel() // the cases mostly wait
	var mu sync.Mutex
	failed := map[string]bool{}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8) // more than there are processors: mutants mostly make cases wait
	for _, m := range All() {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			t.Run(m.Name, func(t *testing.T) {
				for _, c := range caught(t, m) {
					mu.Lock()
					failed[c] = true
					mu.Unlock()
				}
			})
		})
	}
	wg.Wait()
	for _, c := range conformance.Cases() {
		if !failed[c.Name] {
			t.Errorf("no mutant fails the case %s: %s", c.Name, c.Rule)
		}
	}
}

// tries is how often a mutant may run. On a machine that is too busy, a case
// about time cannot tell whether a provider was early or the case itself late,
// and lets it pass.
const tries = 3

// caught runs the cases that a mutant names, demands that each fails by
// assertion, and returns those that do.
func caught(t *testing.T, m Mutant) (names []string) {
	if len(m.CaughtBy) == 0 || m.Breaks == "" {
		t.Fatal("the mutant names no case that catches it, or not what it breaks")
	}
	left := slices.Clone(m.CaughtBy)
	for try := 1; len(left) > 0; try++ {
		for _, res := range against(t, m, left) {
			switch {
			case res.Outcome == conformance.Failed:
				names = append(names, res.Case)
				left = slices.DeleteFunc(left, func(c string) bool { return c == res.Case })
			case res.Outcome != conformance.Passed || try == tries:
				t.Fatalf("survives: case %s %s %s %v", res.Case, res.Outcome, res.Reason, res.Failures)
			}
		}
	}
	return names
}

// against runs cases against a mutant.
func against(t *testing.T, m Mutant, cases []string) []conformance.Result {
	opts := []conformance.Option{
		conformance.WithPatience(1500 * time.Millisecond),
		conformance.WithMatch(regexp.MustCompile("^(" + strings.Join(cases, "|") + ")$")),
	}
	if m.Control != nil {
		opts = append(opts, conformance.WithControl(m.Control()))
	}
	report, err := conformance.Run(t.Context(), m.Open, opts...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range cases {
		if !slices.ContainsFunc(report.Results, func(r conformance.Result) bool { return r.Case == want }) {
			t.Fatalf("there is no case %q", want)
		}
	}
	return report.Results
}

// TestNamesAreUnique guards the lists against copies.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range All() {
		if seen[m.Name] {
			t.Errorf("two mutants are named %q", m.Name)
		}
		seen[m.Name] = true
	}
	for _, c := range conformance.Cases() {
		if seen[c.Name] || c.Rule == "" || !strings.HasPrefix(c.Name, string(c.Facet)+"/") {
			t.Errorf("case %q: its name is taken or has another facet's prefix, or it has no rule", c.Name)
		}
		seen[c.Name] = true
	}
}
