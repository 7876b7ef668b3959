package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// slowest is the number of slow tests that the summary lists.
const slowest = 10

// times holds how long packages and tests took, in seconds. It is the budget of
// a run: a new slow test has to replace one of those listed.
type times struct {
	packages, tests []timed
}

type timed struct {
	name    string
	seconds float64
}

func (t *times) addPackage(name string, seconds float64) {
	t.packages = append(t.packages, timed{strings.TrimPrefix(name, "fairlead.dev/"), seconds})
}

// addTest adds a test without subtests: the time of a test with subtests is the
// time of the subtests.
func (t *times) addTest(pkg, name string, seconds float64) {
	t.tests = append(t.tests, timed{strings.TrimPrefix(pkg, "fairlead.dev/") + " " + name, seconds})
}

// print writes the seconds by package, the longest first, and the slowest tests.
// Packages that took less than a second are added up in one line.
func (t *times) print(out io.Writer) {
	if len(t.packages) == 0 {
		return
	}
	fmt.Fprint(out, "\nseconds by package:\n")
	quick := timed{name: "packages under a second"}
	for _, p := range longestFirst(t.packages) {
		if p.seconds < 1 {
			quick.seconds += p.seconds
			continue
		}
		p.print(out)
	}
	quick.print(out)
	fmt.Fprint(out, "\nslowest tests, in seconds:\n")
	for _, test := range longestFirst(t.tests)[:min(slowest, len(t.tests))] {
		test.print(out)
	}
}

func (t timed) print(out io.Writer) { fmt.Fprintf(out, "%8.1f  %s\n", t.seconds, t.name) }

func longestFirst(all []timed) []timed {
	return slices.SortedStableFunc(slices.Values(all), func(a, b timed) int {
		return cmp.Or(cmp.Compare(b.seconds, a.seconds), cmp.Compare(a.name, b.name))
	})
}
