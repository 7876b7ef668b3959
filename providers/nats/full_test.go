package nats_test

import (
	"regexp"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

// TestConformanceFull runs the cases that fill the backend, on a small server.
func TestConformanceFull(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSSync("always"), testbed.NATSStorage("16MB"))
	conformance.Test(t, checkreport.Opener(server.URL()+"?monitor="+server.MonitorURL()), conformance.WithFiller(server), conformance.WithTransport("full"),
		conformance.WithMatch(regexp.MustCompile("/full")))
}
