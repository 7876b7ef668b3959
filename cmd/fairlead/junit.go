package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"fairlead.dev/conformance"
)

// junitXML returns the report as JUnit XML, with a test suite for each facet.
func junitXML(r *conformance.Report) ([]byte, error) {
	var order []string
	suites := map[string]*junit.Testsuite{}
	for _, res := range r.Results {
		name := r.Provider + "." + string(res.Facet)
		s := suites[name]
		if s == nil {
			s = &junit.Testsuite{Name: name, ID: len(order)}
			s.SetTimestamp(r.Started)
			s.AddProperty("transport", r.Transport)
			s.AddProperty("profile", string(r.Profile))
			suites[name] = s
			order = append(order, name)
		}
		s.AddTestcase(testcase(name, res))
	}
	var all junit.Testsuites
	for _, name := range order {
		all.AddSuite(*suites[name])
	}
	var b bytes.Buffer
	err := all.WriteXML(&b)
	return b.Bytes(), err
}

func testcase(suite string, res conformance.Result) junit.Testcase {
	c := junit.Testcase{Name: res.Case, Classname: suite, Time: secondsText(res.Duration)}
	switch {
	case res.Bad():
		c.Failure = &junit.Result{Message: res.RuleID + ": " + res.Rule, Data: strings.Join(append(res.Failures, res.Logs...), "\n")}
	case res.Outcome == conformance.CouldNotRun:
		c.Error = &junit.Result{Message: "could not run: " + res.Reason, Data: strings.Join(res.Logs, "\n")}
	case res.Outcome == conformance.Interrupted:
		c.Skipped = &junit.Result{Message: "interrupted"}
	case res.Outcome == conformance.NotRun:
		c.Skipped = &junit.Result{Message: res.Reason}
	case res.Outcome == conformance.KnownFails:
		c.Skipped = &junit.Result{Message: "known failure: " + res.Reason}
	}
	return c
}

func secondsText(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
