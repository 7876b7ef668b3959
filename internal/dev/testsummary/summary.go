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

// summary counts passed and failed tests, and prints while it reads.
type summary struct {
	out            io.Writer
	passed, failed int
	failures       []string // one line each
	packages       map[string]*packageRun
	builds         map[string]*strings.Builder // compiler messages
	ran            providersRan
	measured       []string
	times          times
}

// packageRun is a package whose tests have begun.
type packageRun struct {
	output strings.Builder // lines that belong to no test
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

// read reads events until the input ends. It prints lines that are no events,
// such as the go command's own error messages.
func (s *summary) read(in io.Reader) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			s.readLine(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) readLine(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		fmt.Fprint(s.out, line)
		return
	}
	switch {
	case strings.HasPrefix(e.Action, "build-"):
		s.readBuildEvent(e)
	case e.Test != "":
		s.readTestEvent(e)
	case e.Package != "":
		s.readPackageEvent(e)
	}
}

// readBuildEvent keeps the compiler's messages until it learns that the build
// failed: warnings are not printed.
func (s *summary) readBuildEvent(e event) {
	if s.builds[e.ImportPath] == nil {
		s.builds[e.ImportPath] = &strings.Builder{}
	}
	s.builds[e.ImportPath].WriteString(e.Output)
	if e.Action == "build-fail" {
		fmt.Fprint(s.out, s.builds[e.ImportPath].String())
	}
}

func (s *summary) packageRun(e event) *packageRun {
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

// eachParent calls f for every test that has the test called name as a subtest.
func (p *packageRun) eachParent(name string, f func(*testRun)) {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
		name = name[:i]
		f(p.test(name))
	}
}

func (s *summary) readTestEvent(e event) {
	p := s.packageRun(e)
	t := p.test(e.Test)
	switch e.Action {
	case "run":
		p.eachParent(e.Test, func(parent *testRun) { parent.hasSubtests = true })
	case "output":
		t.output.WriteString(e.Output)
		s.ran.addLine(e.Output)
		s.keepMeasurement(e)
	case "pass":
		if !t.hasSubtests {
			s.passed++
		}
	case "fail":
		s.reportFailedTest(e, p, t, "FAIL")
	case "skip":
		s.reportFailedTest(e, p, t, "SKIPPED (no test may skip)")
	}
	if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
		t.output.Reset()
		if !t.hasSubtests {
			s.times.addTest(e.Package, e.Test, e.Elapsed)
		}
	}
}

// keepMeasurement keeps what a test has measured: a line of its log that begins with
// "measured: ".
func (s *summary) keepMeasurement(e event) {
	if _, what, ok := strings.Cut(e.Output, ".go:"); ok {
		if _, what, ok = strings.Cut(what, ": measured: "); ok {
			s.measured = append(s.measured, e.Test+": "+strings.TrimSpace(what))
		}
	}
}

// reportFailedTest prints a failed test, and counts it unless one of its
// subtests was counted.
func (s *summary) reportFailedTest(e event, p *packageRun, t *testRun, how string) {
	fmt.Fprintf(s.out, "--- %s: %s %s\n%s", how, e.Package, e.Test, t.output.String())
	p.failed++
	p.eachParent(e.Test, func(parent *testRun) { parent.failedBelow = true })
	if !t.failedBelow {
		s.addFailure(how + ": " + e.Package + " " + e.Test)
	}
}

// addFailure counts a failure, to be repeated at the end.
func (s *summary) addFailure(line string) {
	s.failed++
	s.failures = append(s.failures, line)
}

func (s *summary) readPackageEvent(e event) {
	p := s.packageRun(e)
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
	case "pass":
		s.times.addPackage(e.Package, e.Elapsed)
		fmt.Fprintf(s.out, "ok  \t%s\t%.3fs\n", e.Package, e.Elapsed)
		delete(s.packages, e.Package)
	case "skip":
		fmt.Fprintf(s.out, "?   \t%s\t[no test files]\n", e.Package)
		delete(s.packages, e.Package)
	case "fail":
		s.times.addPackage(e.Package, e.Elapsed)
		s.reportFailedPackage(e.Package, p, fmt.Sprintf("FAIL\t%s\t%.3fs", e.Package, e.Elapsed))
	}
}

// reportFailedPackage prints the output of a package that belongs to no test: a
// panic, a data race, a failed build. If none of its tests failed, the package
// counts as one failure.
func (s *summary) reportFailedPackage(name string, p *packageRun, line string) {
	fmt.Fprint(s.out, p.output.String())
	for _, test := range slices.Sorted(maps.Keys(p.tests)) {
		fmt.Fprint(s.out, p.tests[test].output.String()) // tests that did not end
	}
	fmt.Fprintln(s.out, line)
	if p.failed == 0 {
		s.addFailure(line)
	}
	delete(s.packages, name)
}

// finish prints the end of the summary, and reports whether everything passed.
func (s *summary) finish(expected []string) bool {
	for _, name := range slices.Sorted(maps.Keys(s.packages)) {
		s.reportFailedPackage(name, s.packages[name], "FAIL\t"+name+"\t[the test output breaks off]")
	}
	if s.passed+s.failed == 0 {
		s.addFailure("no test ran")
	}
	for _, name := range expected {
		if s.ran.cases(name) == 0 {
			s.addFailure("provider " + name + " did not run")
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
	s.times.print(s.out)
	fmt.Fprintf(s.out, "\nproviders that ran: %s\n", s.ran)
	fmt.Fprintf(s.out, "%d passed, %d failed\n", s.passed, s.failed)
}
