package dapr_test

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

// largeBodies makes room for the longest messages of the suite.
func largeBodies() testbed.DaprOption { return testbed.DaprArgs("--max-body-size", "16Mi") }

const largeBodiesURL = "&max-body-bytes=16777216"

// TestRPCConformance runs the suite over one sidecar that calls its own app. The
// sidecar is killed and started again during the run.
func TestRPCConformance(t *testing.T) {
	s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprAppPort(testbed.Port(t)), largeBodies())
	report := conformance.Test(t, checkreport.Opener(s.URL()+"?pubsub=-&app=app"+largeBodiesURL),
		conformance.WithFacets(fairlead.RPC), conformance.WithControl(s), conformance.WithTransport("rpc"))
	checkreport.Tried(t, report)
}
