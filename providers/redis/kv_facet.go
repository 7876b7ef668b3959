package redis

import (
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	maxKeyBytes   = 4096
	maxValueBytes = 16 << 20
	maxTxnOps     = 1024
	maxBatch      = 256
	kvPipelines   = 3 // see pubsubPipelines
)

// missingQuorum holds for every arrangement of servers and every facet.
var missingQuorum = fairlead.Missing{
	Claim:  fairlead.DurableQuorum,
	Reason: "Redis acknowledges a write before its replicas have it, and may elect a primary that lacks it",
}

// kvFacet describes what the kv facet guarantees on servers in the state st.
func (p *provider) kvFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet:  fairlead.KV,
		Claims: []fairlead.Claim{fairlead.Shared, driver.ClaimManage},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimSnapshotList, Reason: "each page of a listing shows the store at another time"},
			missingQuorum,
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: st.maxBulk(maxValueBytes), MaxTxnOps: maxTxnOps,
			MaxBatch:  maxBatch,
			Pipelines: kvPipelines, TTLResolution: time.Millisecond, MinTTL: time.Millisecond,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.durabilityLacks(p.config), st.durabilityBasis())
	for _, c := range []fairlead.Claim{
		driver.ClaimCAS, driver.ClaimTxn, driver.ClaimList, driver.ClaimWatch, driver.ClaimWatchEvery, driver.ClaimWatchTxn,
	} {
		providers.SettleClaim(&f, c, st.lossLacks())
	}
	providers.SettleClaim(&f, driver.ClaimTTL, st.expiryLacks())
	providers.SettleClaim(&f, driver.ClaimExpiryEvents, st.expiryLacks())
	providers.SettleClaim(&f, driver.ClaimLinearizableRead, st.staleReadLacks(p.config))
	return f
}
