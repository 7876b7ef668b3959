package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string
	Elapsed    float64
	Output     string
}

// summary counts, and prints while it does.
type summary struct {
	out            io.Writer
	passed, failed int
	failures       []string // one line each
	packages       map[string]*packageRun
	builds         map[string]*strings.Builder // compiler messages
	ran            providersRan
	measured       []string
}

// packageRun is a package whose tests have begun.
type packageRun struct {
	output strings.Builder // what belongs to no test
	tests  map[string]*testRun
	failed int
}

type testRun struct {
	output      strings.Builder
	hasSubtests bool
	failedBelow bool
}

func newSummary(out io.Writer) *summary {
	return &summary{
		out:      out,
		packages: map[string]*packageRun{},
		builds:   map[string]*strings.Builder{},
		ran:      providersRan{},
	}
}

// read takes in events until the input ends. Lines that are none, such as the
// go command's own complaints, are passed on.
func (s *summary) read(in io.Reader) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		fmt.Fprint(s.out, line)
		return
	}
	switch {
	case strings.HasPrefix(e.Action, "build-"):
		s.build(e)
	case e.Test != "":
		s.test(e)
	case e.Package != "":
		s.pkg(e)
	}
}

// build keeps the compiler's messages until a package is found to have failed:
// those of a mere warning are of no interest.
func (s *summary) build(e event) {
	if s.builds[e.ImportPath] == nil {
		s.builds[e.ImportPath] = &strings.Builder{}
	}
	s.builds[e.ImportPath].WriteString(e.Output)
	if e.Action == "build-fail" {
		fmt.Fprint(s.out, s.builds[e.ImportPath].String())
	}
}

func (s *summary) packageOf(e event) *packageRun {
	p := s.packages[e.Package]
	if p == nil {
		p = &packageRun{tests: map[string]*testRun{}}
		s.packages[e.Package] = p
	}
	return p
}

func (p *packageRun) test(name string) *testRun {
	t := p.tests[name]
	if t == nil {
		t = &testRun{}
		p.tests[name] = t
	}
	return t
}

// parents calls f for the tests of which name is a subtest.
func (p *packageRun) parents(name string, f func(*testRun)) {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
		name = name[:i]
		f(p.test(name))
	}
}

func (s *summary) test(e event) {
	p := s.packageOf(e)
	t := p.test(e.Test)
	switch e.Action {
	case "run":
		p.parents(e.Test, func(parent *testRun) { parent.hasSubtests = true })
	case "output":
		t.output.WriteString(e.Output)
		s.ran.note(e.Output)
		s.measure(e)
	case "pass":
		if !t.hasSubtests {
			s.passed++
		}
	case "fail":
		s.testFailed(e, p, t, "FAIL")
	case "skip":
		s.testFailed(e, p, t, "SKIPPED (no test may skip)")
	}
	if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
		t.output.Reset()
	}
}

// measure keeps what a test has measured: a line of its log that begins with
// "measured: ".
func (s *summary) measure(e event) {
	if _, what, ok := strings.Cut(e.Output, ".go:"); ok {
		if _, what, ok = strings.Cut(what, ": measured: "); ok {
			s.measured = append(s.measured, e.Test+": "+strings.TrimSpace(what))
		}
	}
}

// testFailed prints a failed test. One that only reports its subtests' failures
// is printed, but not counted again.
func (s *summary) testFailed(e event, p *packageRun, t *testRun, how string) {
	fmt.Fprintf(s.out, "--- %s: %s %s\n%s", how, e.Package, e.Test, t.output.String())
	p.failed++
	p.parents(e.Test, func(parent *testRun) { parent.failedBelow = true })
	if !t.failedBelow {
		s.fail(how + ": " + e.Package + " " + e.Test)
	}
}

// fail counts a failure, to be repeated at the end.
func (s *summary) fail(line string) {
	s.failed++
	s.failures = append(s.failures, line)
}

func (s *summary) pkg(e event) {
	p := s.packageOf(e)
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
	case "pass":
		fmt.Fprintf(s.out, "ok  \t%s\t%.3fs\n", e.Package, e.Elapsed)
		delete(s.packages, e.Package)
	case "skip":
		fmt.Fprintf(s.out, "?   \t%s\t[no test files]\n", e.Package)
		delete(s.packages, e.Package)
	case "fail":
		s.packageFailed(e.Package, p, fmt.Sprintf("FAIL\t%s\t%.3fs", e.Package, e.Elapsed))
	}
}

// packageFailed prints what a package has said apart from its tests: a panic, a
// data race, a build that failed. If no test of it has failed, the package
// counts as one failure.
func (s *summary) packageFailed(name string, p *packageRun, line string) {
	fmt.Fprint(s.out, p.output.String())
	for _, test := range slices.Sorted(maps.Keys(p.tests)) {
		fmt.Fprint(s.out, p.tests[test].output.String()) // of those without an end
	}
	fmt.Fprintln(s.out, line)
	if p.failed == 0 {
		s.fail(line)
	}
	delete(s.packages, name)
}

// finish prints the end of the summary, and says whether all is well.
func (s *summary) finish(expected []string) bool {
	for _, name := range slices.Sorted(maps.Keys(s.packages)) {
		s.packageFailed(name, s.packages[name], "FAIL\t"+name+"\t[the test output breaks off]")
	}
	if s.passed+s.failed == 0 {
		s.fail("no test ran")
	}
	for _, name := range expected {
		if s.ran.cases(name) == 0 {
			s.fail("provider " + name + " did not run")
		}
	}
	s.print()
	return s.failed == 0
}

func (s *summary) print() {
	if s.failed > 0 {
		fmt.Fprintln(s.out, "\n======== FAILED ========")
		for _, f := range s.failures {
			fmt.Fprintln(s.out, f)
		}
	}
	if len(s.measured) > 0 {
		fmt.Fprintf(s.out, "\nmeasured:\n%s\n", strings.Join(slices.Sorted(slices.Values(s.measured)), "\n"))
	}
	fmt.Fprintf(s.out, "\nproviders that ran: %s\n", s.ran)
	fmt.Fprintf(s.out, "%d passed, %d failed\n", s.passed, s.failed)
}
