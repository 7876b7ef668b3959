package mutants

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// TestKillableConforms shows that a kill as such fails no kv case: what the
// mutants do on top of it does.
func TestKillableConforms(t *testing.T) {
	t.Parallel() // the cases mostly wait
	o := newBrokerOutage()
	open := killableProvider(o, func(*brokerOutage, driver.Store) store { return store{} })
	conformance.Test(t, open, conformance.WithFacets(fairlead.KV), conformance.WithControl(o))
}
