package nats

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	kindKV = "kv"
	formKV = "kv1"

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
			{Claim: driver.ClaimWatchEvery, Reason: "the stream keeps the last message of each key: a watcher that is late gets that one alone"},
			{Claim: driver.ClaimWatchTxn, Reason: "a watcher that is late does not get the parts of a transaction that were overwritten since"},
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: int(st.maxPayload) - headerBytes, MaxTxnOps: maxTxnOps,
			MaxBatch: kvBatch, Pipelines: kvPipelines, TTLResolution: time.Second, MinTTL: time.Second,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, st.undurable(p.config))
	providers.SettleClaim(&f, fairlead.DurableQuorum, st.unreplicated(p.config))
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

// store is a handle of a store.
type store struct {
	p       *provider
	stream  string
	epoch   string
	keys    string // what the subjects of all keys start with
	checks  string // what the subjects of conditions in transactions start with: see kv_txn.go
	ticks   string // the subject of the record of times: see kv_history.go
	history time.Duration
	created time.Time
	direct  bool // reads ask the stream itself, not its leader through the API

	wrote    atomic.Bool // since the last tick
	listings listings

	life *providers.Lifetime
}

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s, err := p.openStore(ctx, kindKV, c.Name, formKV)
	if err != nil {
		return nil, err
	}
	if err := p.handles.Add(s); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// openStore finds the stream of a store, and creates it if need be.
func (p *provider) openStore(ctx context.Context, kind, name, form string) (*store, error) {
	want := p.newStream(kind, name, form)
	want.MaxMsgsPerSubject = 1
	want.AllowRollup, want.AllowMsgTTL, want.AllowAtomic = true, true, true
	want.MarkerTTL = p.config.history
	// Any replica answers a direct read, also one that lags. With one replica
	// none can lag, and a direct read is twice as fast.
	want.AllowDirect = p.config.replicas == 1
	info, err := p.openStream(ctx, want)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(info.Config.Subjects[0], ">")
	return &store{
		p: p, stream: info.Config.Name, epoch: info.epoch(),
		keys: base + "k.", checks: base + "c.", ticks: base + "t",
		history: info.Config.MarkerTTL, created: info.Created,
		direct: info.Config.AllowDirect && info.Config.Replicas == 1,
		life:   p.life.Child("store"),
	}, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	return p.streamNames(ctx, kindKV, prefix)
}

// DeleteStore implements the kv driver's Provider.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	return p.deleteStream(ctx, p.streamName(kindKV, name))
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.p.handles.Remove(s)
	s.life.End()
	return nil
}
