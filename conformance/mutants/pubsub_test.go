package mutants

import (
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// TestHealthyBroker runs the cases on the very wrappers that the mutants are
// made of, with hooks that break nothing: so a case that catches a mutant catches
// its fault.
// It also runs the cases that the memory provider cannot show: those that kill the
// backend.
func TestHealthyBroker(t *testing.T) {
	t.Parallel() // the cases mostly wait
	o := newBrokerOutage()
	open := breaking(func() broker { return o.over(broker{}) })
	conformance.Test(t, open, conformance.WithControl(o), conformance.WithFacets(fairlead.PubSub), conformance.WithPatience(5*time.Second))
}
