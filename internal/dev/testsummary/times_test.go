package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestTimes shows the seconds by package and the ten slowest tests: the longest
// first, tests with subtests left out, quick packages added up.
func TestTimes(t *testing.T) {
	var out strings.Builder
	s := newSummary(&out)
	event := func(action, pkg, test string, seconds float64) string {
		return fmt.Sprintf(`{"Action":%q,"Package":%q,"Test":%q,"Elapsed":%g}`+"\n", action, pkg, test, seconds)
	}
	var in strings.Builder
	for i := range 12 {
		name := fmt.Sprintf("TestAll/%d", i)
		in.WriteString(event("run", "fairlead.dev/a", name, 0) + event("pass", "fairlead.dev/a", name, float64(i)))
	}
	in.WriteString(event("pass", "fairlead.dev/a", "TestAll", 66) + event("pass", "fairlead.dev/a", "", 66.5))
	in.WriteString(event("fail", "fairlead.dev/b", "", 70))
	in.WriteString(event("pass", "fairlead.dev/c", "", 0.25) + event("pass", "fairlead.dev/d", "", 0.75))
	if err := s.read(strings.NewReader(in.String())); err != nil {
		t.Fatal(err)
	}
	s.finish(nil)
	for _, want := range []string{
		"seconds by package:\n    70.0  b\n    66.5  a\n     1.0  packages under a second\n",
		"slowest tests, in seconds:\n    11.0  a TestAll/11\n    10.0  a TestAll/10\n",
		"     2.0  a TestAll/2\n\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "a TestAll\n") {
		t.Error("a test with subtests is listed")
	}
}
