package mutants

import (
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// TestKillableConforms shows that a kill as such fails no kv case: what the
// mutants do on top of it does.
func TestKillableConforms(t *testing.T) {
	t.Parallel() // the cases mostly wait
	o := newBrokerOutage()
	open := killableProvider(o, func(*brokerOutage, driver.Store) store { return store{} })
	conformance.Test(t, open, conformance.WithFacets(providers.KV), conformance.WithControl(o))
}
