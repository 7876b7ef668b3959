package mutants

import (
	"slices"
	"sync"
	"testing"
	"time"

	"fairlead.dev/conformance"
)

// TestEveryMutantIsCaught runs each mutant against the cases that it names, and
// then looks for cases that no mutant fails.
func TestEveryMutantIsCaught(t *testing.T) {
	t.Parallel() // most cases spend their time waiting
	var mu sync.Mutex
	failed := map[string]bool{}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8) // more than there are processors: most cases wait
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

// tries is how often a mutant may run. On a busy machine, a case about time cannot
// distinguish a provider that was early from a case that was late, and passes.
const tries = 3

// caught runs the cases that a mutant names, demands that each fails by
// assertion, and returns the cases that do.
func caught(t *testing.T, m Mutant) (names []string) {
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
		conformance.WithCases(cases...),
	}
	if m.Control != nil {
		opts = append(opts, conformance.WithControl(m.Control()))
	}
	if m.Filler != nil {
		opts = append(opts, conformance.WithFiller(m.Filler))
	}
	if m.Operator != nil {
		opts = append(opts, conformance.WithOperator(m.Operator))
	}
	report, err := conformance.Run(t.Context(), m.Open, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return report.Results
}

// TestMutantsAreWhole guards the list against copies, and against names that no
// case has.
func TestMutantsAreWhole(t *testing.T) {
	known := map[string]bool{}
	for _, c := range conformance.Cases() {
		known[c.Name] = true
	}
	seen := map[string]bool{}
	for _, m := range All() {
		if seen[m.Name] {
			t.Errorf("two mutants are named %q", m.Name)
		}
		seen[m.Name] = true
		if m.Breaks == "" || len(m.CaughtBy) == 0 {
			t.Errorf("the mutant %s does not say what it breaks, or names no case that catches it", m.Name)
		}
		for _, name := range m.CaughtBy {
			if !known[name] {
				t.Errorf("the mutant %s is to be caught by %q: there is no such case", m.Name, name)
			}
		}
	}
}
