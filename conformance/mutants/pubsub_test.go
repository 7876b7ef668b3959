package mutants

import (
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// TestHealthyBroker runs the cases on the mutants' own wrappers, with hooks that
// break nothing: so a case that catches a mutant catches the mutant's fault. It
// also runs the cases that kill the backend, which the memory provider by itself
// cannot run.
func TestHealthyBroker(t *testing.T) {
	t.Parallel() // most cases spend their time waiting
	o := newBrokerOutage()
	filler := &space{}
	open := breaking(func() broker { return o.over(filler.refuseMessages(broker{})) })
	conformance.Test(t, open, conformance.WithControl(o), conformance.WithFiller(filler), conformance.WithFacets(fairlead.PubSub), conformance.WithPatience(5*time.Second))
}
