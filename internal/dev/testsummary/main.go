// Command testsummary reads the output of "go test -json" on its standard input
// and prints what a reader wants to see of it: a line for each package as it
// ends, all that failing tests have printed, which providers the tests ran
// against, and as the last line "N passed, N failed".
//
// A test says that it ran against a provider with a line in its log:
//
//	fairlead-provider-ran: NAME TRANSPORT cases=N
//
// The exit code is 1 if a test failed or was skipped (no test here may skip), a
// package did not build or did not come to its end, no test ran at all, or a
// provider that -providers names did not run a single case.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	providers := flag.String("providers", "", "comma-separated providers that have to run")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "testsummary: unexpected argument %q: the input is read from standard input\n", flag.Arg(0))
		os.Exit(2)
	}
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		s.fail("reading the test output: " + err.Error())
	}
	if !s.finish(splitList(*providers)) {
		os.Exit(1)
	}
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
