package redis

import (
	"time"

	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	maxKeyBytes   = 4096
	maxValueBytes = 16 << 20
	maxTxnOps     = 1024
	maxBatch      = 256
)

// noQuorum holds for every arrangement of servers and every facet.
var noQuorum = providers.Missing{
	Claim:  providers.DurableQuorum,
	Reason: "Redis acknowledges before its replicas have a write, and elects a primary that may lack it",
}

// kvFacet says what the kv facet promises on servers in the state st.
func (p *provider) kvFacet(st state) providers.FacetDescription {
	f := providers.FacetDescription{
		Facet: providers.KV,
		Claims: []providers.Claim{
			providers.Shared, driver.ClaimCAS, driver.ClaimTxn, driver.ClaimList,
			driver.ClaimWatch, driver.ClaimWatchEvery, driver.ClaimWatchTxn,
			driver.ClaimExpiryEvents, driver.ClaimManage,
		},
		Missing: []providers.Missing{
			{Claim: driver.ClaimSnapshotList, Reason: "each page of a listing shows its own moment"},
			noQuorum,
		},
		Limits: providers.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: maxValueBytes, MaxTxnOps: maxTxnOps,
			MaxBatch:  maxBatch,
			Pipelines: kvPipelines, TTLResolution: time.Millisecond, MinTTL: time.Millisecond,
		},
	}
	claim(&f, providers.DurableFsync, st.undurable(p.config))
	claim(&f, driver.ClaimTTL, st.evicts())
	claim(&f, driver.ClaimLinearizableRead, st.stale(p.config))
	return f
}

// kvPipelines: see pubsubPipelines.
const kvPipelines = 3
