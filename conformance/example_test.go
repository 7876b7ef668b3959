package conformance_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/memory"
)

func openMemory(ctx context.Context) (fairlead.Provider, error) {
	return fairlead.Open(ctx, "mem://example")
}

// A test of a provider has one function.
func ExampleTest() {
	testConformance := func(t *testing.T) { // in your code: func TestConformance(t *testing.T)
		conformance.Test(t, openMemory, conformance.WithProfile(conformance.Quick))
	}
	_ = testConformance
}

// A program runs the suite, and prints the evidence for a claim.
func ExampleRun() {
	report, err := conformance.Run(context.Background(), openMemory, conformance.WithMatch(regexp.MustCompile("^kv/create")))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Count(conformance.Passed), "cases passed; conforms:", report.Err() == nil)
	for _, claim := range report.Claims {
		if claim.Claim == kv.CAS {
			fmt.Println(claim.Claim, "is", claim.Verdict+":", claim.Held, "rules held")
		}
	}
	// Output:
	// 4 cases passed; conforms: true
	// kv.CAS is partly observed: 4 rules held
}

// WithMatch selects cases by a regular expression of their names.
func ExampleWithMatch() {
	report, err := conformance.Run(context.Background(), openMemory, conformance.WithMatch(regexp.MustCompile("^kv/put-get$")))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, result := range report.Results {
		fmt.Println(result.Case, result.Outcome)
	}
	// Output: kv/put-get passed
}

// server starts and kills the backend under test.
type server struct{ process *exec.Cmd }

// Kill ends the server as SIGKILL does.
func (s *server) Kill(context.Context) error {
	err := s.process.Process.Kill()
	_ = s.process.Wait() // it reports the kill
	return err
}

// Start starts the server on the data that it stored.
func (s *server) Start(context.Context) error {
	s.process = exec.Command("acme-server", "--data", os.Getenv("ACME_DATA"))
	return s.process.Start()
}

// A control kills and starts the backend, so that the cases of durability and of
// outages can run.
func ExampleWithControl() {
	testDurability := func(t *testing.T) {
		backend := &server{}
		if err := backend.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
			return fairlead.Open(ctx, "acme://127.0.0.1:7000")
		}, conformance.WithControl(backend))
	}
	_ = testDurability
}

// WithKnownFailures keeps a provider's test green while a fault is open.
func ExampleWithKnownFailures() {
	known := map[string]string{"kv/put-get": "issue 12: values with a zero byte are cut"}
	report, err := conformance.Run(context.Background(), openMemory,
		conformance.WithCases("kv/put-get"), conformance.WithKnownFailures(known))
	if err != nil {
		fmt.Println(err)
		return
	}
	// The fault is repaired: the list must not contain a case that passes.
	fmt.Println(report.Results[0].Outcome)
	fmt.Println(report.Results[0].Failures)
	// Output:
	// passes again
	// [the case is listed as a known failure and passes: take it off the list]
}
