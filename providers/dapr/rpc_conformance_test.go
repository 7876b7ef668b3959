package dapr_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/providers"
)

// appPort returns a port for an app, below those of outgoing connections.
func appPort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 15000 + rand.IntN(17000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// largeBodies makes room for the longest messages of the suite.
func largeBodies() testbed.DaprOption { return testbed.DaprArgs("--max-body-size", "16Mi") }

const largeBodiesURL = "&max-body-bytes=16777216"

// TestRPCConformance runs the suite over one sidecar, which is killed and
// started on the way, and calls its own app.
func TestRPCConformance(t *testing.T) {
	s := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprAppPort(appPort(t)), largeBodies())
	report := conformance.Test(t, opener(s.URL()+"?pubsub=-&app=app"+largeBodiesURL),
		conformance.WithFacets(providers.RPC), conformance.WithControl(s), conformance.WithTransport("rpc"))
	wantProven(t, report)
}
