package dapr

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

const (
	maxKeyBytes = 512
	// requestOverhead is the longest of what a request to write has besides its
	// key and value.
	requestOverhead = 1 << 10
	// maxBatch is how many requests to write one Do has under way, and how many
	// keys it reads at once.
	maxBatch  = 64
	pipelines = 4
)

// strong are the kinds of components of which it is known that a read shows
// every write before it: one server answers, from memory.
var strong = map[string]bool{"state.redis": true, "state.in-memory": true}

// kvFacet says what the kv facet promises on a sidecar in the state st.
func (p *provider) kvFacet(st state) fairlead.FacetDescription {
	const api = "Dapr's state API"
	f := fairlead.FacetDescription{
		Facet:  fairlead.KV,
		Claims: []fairlead.Claim{fairlead.Shared, driver.ClaimCAS, driver.ClaimTTL},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimList, Reason: api + " cannot list keys"},
			{Claim: driver.ClaimSnapshotList, Reason: api + " cannot list keys"},
			{Claim: driver.ClaimManage, Reason: api + " cannot list keys"},
			{Claim: driver.ClaimWatch, Reason: api + " does not tell of changes"},
			{Claim: driver.ClaimWatchEvery, Reason: api + " does not tell of changes"},
			{Claim: driver.ClaimWatchTxn, Reason: api + " does not tell of changes"},
			{Claim: driver.ClaimExpiryEvents, Reason: api + " does not tell of changes"},
			{Claim: driver.ClaimTxn, Reason: "transactions are not atomic on every component: that of state.redis keeps the first writes when a later one fails"},
			{Claim: fairlead.DurableQuorum, Reason: api + " does not tell what the component's backend keeps"},
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: p.config.maxBody - recordOverhead - 3*maxKeyBytes - len(p.config.prefix) - requestOverhead,
			MaxBatch: maxBatch, Pipelines: pipelines, TTLResolution: time.Millisecond, MinTTL: time.Millisecond,
		},
	}
	if p.config.assertDurable {
		f.Claims = append(f.Claims, fairlead.DurableFsync)
	} else {
		f.Missing = append(f.Missing, fairlead.Missing{
			Claim: fairlead.DurableFsync, Reason: api + " does not tell what the component's backend keeps",
			Remedy: "if the backend answers a write when it is on stable storage, set assert-durable=true",
		})
	}
	if kind := st.components[fairlead.KV].kind; strong[kind] {
		f.Claims = append(f.Claims, driver.ClaimLinearizableRead)
	} else {
		f.Missing = append(f.Missing, fairlead.Missing{Claim: driver.ClaimLinearizableRead, Reason: "it is not known how fresh the reads of " + kind + " are"})
	}
	return f
}

// store is a handle of a key-value store.
type store struct {
	p      *provider
	prefix string // of its keys

	life context.Context // ends with Close, or with the provider's
	end  context.CancelFunc
}

// OpenStore implements the kv driver's Provider. A store is there as soon as it
// has a key.
func (p *provider) OpenStore(_ context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := &store{p: p, prefix: p.config.prefix + "/kv/" + c.Name + "/"}
	s.life, s.end = context.WithCancel(p.life)
	return s, nil
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.end()
	return nil
}

func unclaimed(what string) error {
	return fairlead.Errorf(fairlead.Unsupported, "Dapr's state API has no %s", what)
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(context.Context, string) ([]string, error) {
	return nil, unclaimed("lists of keys")
}

// DeleteStore implements the kv driver's Provider.
func (p *provider) DeleteStore(context.Context, string) error { return unclaimed("lists of keys") }

// Txn implements the kv driver's Store.
func (s *store) Txn(context.Context, driver.Txn) (driver.Revision, error) {
	return "", unclaimed("transactions that every component keeps whole")
}

// List implements the kv driver's Store.
func (s *store) List(context.Context, driver.ListRequest) (driver.Page, error) {
	return driver.Page{}, unclaimed("lists of keys")
}

// Watch implements the kv driver's Store.
func (s *store) Watch(context.Context, driver.WatchRequest) (driver.Watcher, error) {
	return nil, unclaimed("news of changes")
}
