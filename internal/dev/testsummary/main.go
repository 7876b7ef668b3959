// Command testsummary reads the output of "go test -json" from standard input.
// It prints a line for each package when the package ends, the whole output of
// failed tests, the time that packages and the slowest tests took, the
// providers that the tests ran against, and last the line "N passed, N failed".
//
// A test reports that it ran against a provider with a line in its log:
//
//	fairlead-provider-ran: NAME TRANSPORT cases=N
//
// The exit code is 1 if a test failed or was skipped (no test here may skip), if
// a package did not build or did not end, if no test ran, or if a provider that
// -providers names ran no case.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	providers := flag.String("providers", "", "comma-separated providers that must run")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "testsummary: unexpected argument %q: the input is read from standard input\n", flag.Arg(0))
		os.Exit(2)
	}
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		s.addFailure("reading the test output: " + err.Error())
	}
	if !s.finish(splitList(*providers)) {
		os.Exit(1)
	}
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
