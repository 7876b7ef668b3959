package dapr

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

const (
	maxKeyBytes = 512
	// requestOverhead bounds the size of a write request without its key and
	// value.
	requestOverhead = 1 << 10
	// maxBatch is how many write requests one Do has under way, and how many
	// keys it reads at once.
	maxBatch  = 64
	pipelines = 4
)

// linearizableKinds are the types of components that are known to show every
// earlier write to a read: one server answers, from memory.
var linearizableKinds = map[string]bool{"state.redis": true, "state.in-memory": true}

// kvFacet describes the kv facet on a sidecar in a state.
func (p *provider) kvFacet(st sidecarState) fairlead.FacetDescription {
	const api = "Dapr's state API"
	f := fairlead.FacetDescription{
		Facet:  fairlead.KV,
		Claims: []fairlead.Claim{fairlead.Shared, driver.ClaimCAS, driver.ClaimTTL},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimList, Reason: api + " cannot list keys"},
			{Claim: driver.ClaimSnapshotList, Reason: api + " cannot list keys"},
			{Claim: driver.ClaimManage, Reason: api + " cannot list keys"},
			{Claim: driver.ClaimWatch, Reason: api + " does not report changes"},
			{Claim: driver.ClaimWatchEvery, Reason: api + " does not report changes"},
			{Claim: driver.ClaimWatchTxn, Reason: api + " does not report changes"},
			{Claim: driver.ClaimExpiryEvents, Reason: api + " does not report changes"},
			{Claim: driver.ClaimTxn, Reason: "transactions are not atomic on every component: state.redis keeps the first writes when a later one fails"},
			{Claim: fairlead.DurableQuorum, Reason: api + " does not report what the component's backend stores"},
		},
		Limits: fairlead.Limits{
			MaxKeyBytes: maxKeyBytes, MaxValueBytes: p.config.maxBody - recordOverhead - 3*maxKeyBytes - len(p.config.prefix) - requestOverhead,
			MaxBatch: maxBatch, Pipelines: pipelines, TTLResolution: time.Millisecond, MinTTL: time.Millisecond,
		},
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, p.undurable(st), providers.Asserted("assert-durable=true"))
	if kind := st.components[fairlead.KV].kind; linearizableKinds[kind] {
		f.Claims = append(f.Claims, driver.ClaimLinearizableRead)
	} else {
		f.Missing = append(f.Missing, fairlead.Missing{Claim: driver.ClaimLinearizableRead, Reason: "it is not known whether reads of " + kind + " show all earlier writes"})
	}
	return f
}

// undurable returns why the state component's backend may not have written to stable
// storage what it confirms.
func (p *provider) undurable(st sidecarState) []providers.Lack {
	switch {
	case st.components[fairlead.KV].inMemory():
		return []providers.Lack{{Reason: "all data is lost when the sidecar ends", Remedy: "use a component that stores data"}}
	case p.config.assertDurable:
		return nil
	}
	return []providers.Lack{{
		Reason: "Dapr's state API does not report what the component's backend stores",
		Remedy: "if the backend confirms a write only when it is on stable storage, set assert-durable=true",
	}}
}

// store is a handle of a key-value store.
type store struct {
	p      *provider
	prefix string // of its keys

	life *providers.Lifetime
}

// OpenStore implements the kv driver's Provider. A store exists when it has a
// key.
func (p *provider) OpenStore(_ context.Context, c driver.StoreConfig) (driver.Store, error) {
	return &store{p: p, prefix: p.config.prefix + "/kv/" + c.Name + "/", life: p.life.Child("store")}, nil
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.End()
	return nil
}

func unsupported(what string) error {
	return fairlead.Errorf(fairlead.Unsupported, "Dapr's state API has no %s", what)
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(context.Context, string) ([]string, error) {
	return nil, unsupported("list of keys")
}

// DeleteStore implements the kv driver's Provider.
func (p *provider) DeleteStore(context.Context, string) error { return unsupported("list of keys") }

// Txn implements the kv driver's Store.
func (s *store) Txn(context.Context, driver.Txn) (driver.Revision, error) {
	return "", unsupported("transactions that every component keeps whole")
}

// List implements the kv driver's Store.
func (s *store) List(context.Context, driver.ListRequest) (driver.Page, error) {
	return driver.Page{}, unsupported("list of keys")
}

// Watch implements the kv driver's Store.
func (s *store) Watch(context.Context, driver.WatchRequest) (driver.Watcher, error) {
	return nil, unsupported("notification of changes")
}
