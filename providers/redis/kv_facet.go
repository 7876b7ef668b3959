package redis

import (
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

const (
	maxKeyBytes   = 4096
	maxValueBytes = 16 << 20
	maxTxnOps     = 1024
	maxBatch      = 256
)

// noQuorum holds for every arrangement of servers and every facet.
var noQuorum = fairlead.Missing{
	Claim:  fairlead.DurableQuorum,
	Reason: "Redis acknowledges before its replicas have a write, and elects a primary that may lack it",
}

// kvFacet says what the kv facet promises on servers in the state st.
func (p *provider) kvFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.KV,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimCAS, driver.ClaimTxn, driver.ClaimList,
			driver.ClaimWatch, driver.ClaimWatchEvery, driver.ClaimWatchTxn,
			driver.ClaimExpiryEvents, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimSnapshotList, Reason: "each page of a listing shows its own moment"},
			noQuorum,
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: maxValueBytes, MaxTxnOps: maxTxnOps,
			MaxBatch:  maxBatch,
			Pipelines: kvPipelines, TTLResolution: time.Millisecond, MinTTL: time.Millisecond,
		},
	}
	claim(&f, fairlead.DurableFsync, st.undurable(p.config))
	claim(&f, driver.ClaimTTL, st.evicts())
	claim(&f, driver.ClaimLinearizableRead, st.stale(p.config))
	return f
}

// kvPipelines: see pubsubPipelines.
const kvPipelines = 3
