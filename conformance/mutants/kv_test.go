package mutants

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// TestKillableConforms shows that a kill by itself fails no kv case: only the
// faults that the mutants add do.
func TestKillableConforms(t *testing.T) {
	t.Parallel() // most cases spend their time waiting
	o := newBrokerOutage()
	open := killableProvider(o, func(*brokerOutage, driver.Store) store { return store{} })
	conformance.Test(t, open, conformance.WithFacets(fairlead.KV), conformance.WithControl(o))
}
