package etcd

import (
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	maxKeyBytes = 4096
	// maxValueBytes leaves room for a key and the rest of a request within the
	// 1.5 MiB of etcd's default --max-request-bytes.
	maxValueBytes = 1_400_000
	maxBatch      = 256
	kvPipelines   = 4
)

// kvFacet says what the kv facet promises on a cluster in the state st.
func (p *provider) kvFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.KV,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimCAS, driver.ClaimTxn, driver.ClaimLinearizableRead, driver.ClaimList,
			driver.ClaimSnapshotList, driver.ClaimTTL, driver.ClaimWatch, driver.ClaimWatchEvery,
			driver.ClaimWatchTxn, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimExpiryEvents, Reason: "etcd shows the end of a lease as a delete"},
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: maxValueBytes, MaxTxnOps: st.txnOps,
			MaxBatch: maxBatch, Pipelines: kvPipelines,
			TTLResolution: time.Second, MinTTL: st.minTTL,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.undurable(p.config), st.durabilityBasis())
	providers.SettleClaim(&f, fairlead.DurableQuorum, st.unreplicated(p.config), st.durabilityBasis())
	return f
}
