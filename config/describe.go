package config

import (
	"fmt"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
)

// maxKeyBytes is the longest key of a setting on every provider.
const maxKeyBytes = 512

// derivedClaims lists, for a source over a kv store, the claim of the kv facet
// that each claim requires; "" for none.
//
// Snapshot does not require kv.SnapshotList: the events up to a known revision
// turn a listing of several moments into one of a single moment. It requires
// kv.WatchTxn, since otherwise the events between two revisions may end inside a
// transaction.
var derivedClaims = []struct{ claim, from fairlead.Claim }{
	{driver.ClaimSnapshot, kvdriver.ClaimWatchTxn},
	{driver.ClaimDeleteVisible, ""},
	{driver.ClaimWrite, ""},
	{driver.ClaimAtomicSet, kvdriver.ClaimTxn},
	{driver.ClaimCompareAndSet, kvdriver.ClaimCAS},
	{fairlead.DurableFsync, fairlead.DurableFsync},
	{fairlead.DurableQuorum, fairlead.DurableQuorum},
	{fairlead.Shared, fairlead.Shared},
}

// Describe returns the description of configuration on a provider: its config
// facet, or else the facet that its kv facet provides. It returns false if the
// provider offers neither.
func Describe(d fairlead.Description) (fairlead.FacetDescription, bool) {
	if own, ok := d.Facet(fairlead.Config); ok {
		return own, true
	}
	store, ok := d.Facet(fairlead.KV)
	if !ok || fairlead.CheckRequirements(store, requiredOfStore) != nil {
		return fairlead.FacetDescription{}, false
	}
	return describeStore(store), true
}

// requiredOfStore are the claims that a store needs to serve as a source.
var requiredOfStore = []fairlead.Requirement{kvdriver.ClaimList, kvdriver.ClaimWatch}

// describeStore describes a source over a store.
func describeStore(store fairlead.FacetDescription) fairlead.FacetDescription {
	d := fairlead.FacetDescription{Facet: fairlead.Config, Limits: fairlead.Limits{
		MaxKeyBytes:   min(maxKeyBytes, store.Limits.MaxKeyBytes),
		MaxValueBytes: store.Limits.MaxValueBytes,
		MaxTxnOps:     store.Limits.MaxTxnOps,
		MaxBatch:      store.Limits.MaxBatch,
	}}
	for _, c := range derivedClaims {
		m, lacks := c.from.Check(store)
		if c.from == "" || !lacks {
			d.Claims = append(d.Claims, c.claim)
			if b, ok := store.Basis(c.from); ok {
				b.Claim = c.claim
				d.Bases = append(d.Bases, b)
			}
			continue
		}
		if c.from != c.claim {
			m.Reason = fmt.Sprintf("needs %s of the kv facet: %s", c.from, m.Reason)
		}
		m.Claim = c.claim
		d.Missing = append(d.Missing, m)
	}
	return d
}

// errNotOffered says why a provider has no configuration.
func errNotOffered(d fairlead.Description) error {
	store, ok := d.Facet(fairlead.KV)
	if !ok {
		return fairlead.Errorf(fairlead.Unsupported, "the provider describes neither a config nor a kv facet")
	}
	return fairlead.Errorf(fairlead.Unsupported,
		"the provider describes no config facet, and its kv facet cannot serve as one: %w", fairlead.CheckRequirements(store, requiredOfStore))
}
