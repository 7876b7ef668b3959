package mutants

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// TestKillableConforms shows that a kill or a full backend by itself fails no case
// of kv: only the faults that the mutants add do.
func TestKillableConforms(t *testing.T) {
	t.Parallel() // most cases spend their time waiting
	o := newBrokerOutage()
	filler := &space{}
	open := killableProvider(o, func(_ *brokerOutage, s driver.Store) store { return filler.refuseWrites(s) })
	conformance.Test(t, open, conformance.WithFacets(fairlead.KV, fairlead.Config), conformance.WithControl(o), conformance.WithFiller(filler))
}
