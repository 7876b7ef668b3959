package etcd_test

import (
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/testbed"
)

// TestConformanceLeastPermissions runs the suite as a user that may read and write the
// keys of one prefix, as docs/providers/etcd.md says. The server does not fsync: a
// provider on it conforms too, because it claims less.
func TestConformanceLeastPermissions(t *testing.T) {
	server := testbed.Etcd(t, testbed.EtcdRootPassword("s3cret"), testbed.EtcdArgs("--unsafe-no-fsync"))
	addUser(t, server, "least", "pw", "suite/")
	url := server.URLFor("least", "pw") + "?prefix=suite"
	report := conformance.Test(t, checkreport.Opener(url), conformance.WithProfile(conformance.Quick), conformance.WithTransport("least permissions"))
	checkreport.Verdict(t, report, fairlead.DurableFsync, conformance.NotClaimed, fairlead.KV)
}
