package nats_test

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

// TestConformanceLeastPermissions runs the suite as a user with exactly the permissions
// that docs/providers/nats.md lists. The server syncs late: a provider on it conforms
// too, because it claims less.
func TestConformanceLeastPermissions(t *testing.T) {
	server := testbed.NATS(t, documentedAccount(t, "suite", ""))
	before := testbed.Content(t, server)
	url := server.URLFor("app", "pw") + "?prefix=suite"
	report := conformance.Test(t, checkreport.Opener(url), conformance.WithProfile(conformance.Quick), conformance.WithTransport("least permissions"))
	checkreport.Verdict(t, report, fairlead.DurableFsync, conformance.NotClaimed, fairlead.KV)
	testbed.WantContent(t, server, before)
}
