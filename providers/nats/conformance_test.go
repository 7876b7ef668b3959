package nats_test

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/nats"
)

// TestConformance runs the whole suite on a server that is killed and started
// again during the run, and demands that every claim is tried,
// and that nothing of the run is left.
func TestConformance(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSSync("always"))
	before := testbed.Content(t, server)
	report := conformance.Test(t, checkreport.Opener(server.URL()+"?monitor="+server.MonitorURL()), conformance.WithControl(server), conformance.WithOperator(newOperator(t, server)))
	testbed.WantContent(t, server, before)
	checkreport.Tried(t, report)
	checkreport.Verdict(t, report, fairlead.DurableFsync, conformance.SurvivedKills)
}
