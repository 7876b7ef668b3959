package nats

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	kindKV = "kv"
	formKV = "kv1"
	// kindRemovals is in the subjects of messages about keys that were deleted on a
	// full server.
	kindRemovals = "kvd"

	maxKeyBytes = 512 // each byte may take three in a subject
	// headerBytes is more than our headers and the subject take.
	headerBytes  = 4096
	leastValue   = 1_000_000
	leastPayload = leastValue + headerBytes
	maxTxnOps    = 500
	kvBatch      = 128
	kvPipelines  = 2
)

// kvFacet says what the kv facet promises on servers in the state st.
func (p *provider) kvFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet: fairlead.KV,
		Claims: []fairlead.Claim{
			fairlead.Shared, driver.ClaimCAS, driver.ClaimTxn, driver.ClaimList, driver.ClaimTTL,
			driver.ClaimWatch, driver.ClaimExpiryEvents, driver.ClaimManage,
		},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimSnapshotList, Reason: "the values of a page are read one by one"},
			{Claim: driver.ClaimWatchEvery, Reason: "the stream keeps the last message of each key: a watcher that is late gets only that one"},
			{Claim: driver.ClaimWatchTxn, Reason: "a watcher that is late does not get the parts of a transaction that were overwritten since"},
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: int(st.maxPayload) - headerBytes, MaxTxnOps: maxTxnOps,
			MaxBatch: kvBatch, Pipelines: kvPipelines, TTLResolution: time.Second, MinTTL: time.Second,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.undurable(p.config), p.config.durabilityBasis())
	providers.SettleClaim(&f, fairlead.DurableQuorum, st.unreplicated(p.config), p.config.durabilityBasis())
	providers.SettleClaim(&f, driver.ClaimLinearizableRead, p.config.lacksLinearizableRead())
	return f
}

// lacksLinearizableRead lists what may let a read miss an acknowledged write.
func (c config) lacksLinearizableRead() []providers.Lack {
	if c.replicas == 1 {
		return nil
	}
	return []providers.Lack{{Reason: "with replicas, a leader that was replaced may answer reads until it notices"}}
}

// store is a store as it was found: see storeHandle.
type store struct {
	p           *provider
	stream      string
	epoch       string
	keys        string // what the subjects of all keys start with
	checks      string // what the subjects of conditions in transactions start with: see kv_txn.go
	checkpoints string // the subject of the record of times: see kv_history.go
	history     time.Duration
	created     time.Time
	direct      bool // reads ask the stream itself, not its leader through the API

	removals string // what the subjects of removals start with: see kv_full.go

	mu       sync.Mutex
	unmarked map[string]bool // keys for whose markers there was no room

	wrote    atomic.Bool // since the last checkpoint
	listings listings

	life *providers.Lifetime
}

// newStoreStream is the configuration of the stream of a new store.
func (p *provider) newStoreStream(kind, name, form string) streamConfig {
	c := p.newStream(kind, name, form)
	c.MaxMsgsPerSubject = 1
	c.AllowRollup, c.AllowMsgTTL, c.AllowAtomic = true, true, true
	c.MarkerTTL = p.config.history
	// Any replica answers a direct read, also one that lags. With one replica
	// none can lag, and a direct read is twice as fast.
	c.AllowDirect = p.config.replicas == 1
	return c
}

// newStore returns the store of a stream that exists.
func (p *provider) newStore(info streamInfo, life *providers.Lifetime) *store {
	base := strings.TrimSuffix(info.Config.Subjects[0], ">")
	return &store{
		p: p, stream: info.Config.Name, epoch: info.epoch(),
		keys: base + "k.", checks: base + "c.", checkpoints: base + "t",
		removals: p.config.prefix + "." + kindRemovals + strings.TrimPrefix(base, p.config.prefix+"."+kindKV),
		history:  info.Config.MarkerTTL, created: info.Created,
		direct: info.Config.AllowDirect && info.Config.Replicas == 1,
		life:   life,
	}
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	return p.streamNames(ctx, kindKV, prefix)
}

// DeleteStore implements the kv driver's Provider.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	return p.deleteStream(ctx, p.streamName(kindKV, name))
}
