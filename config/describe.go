package config

import (
	"fmt"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
)

// maxKeyBytes is the longest key of a setting on every provider.
const maxKeyBytes = 512

// derivedClaims says which claim of the kv facet each claim of configuration
// on a store rests on; "" for those that every store meets.
//
// Snapshot needs no kv.SnapshotList: a listing of many moments becomes one of
// one moment by the events up to a known place. It needs kv.WatchTxn, without
// which the events between two places are no whole changes.
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

// Describe returns what holds for configuration on a provider: its own config
// facet, or what follows from its kv facet. It is false if the provider offers
// neither.
func Describe(d fairlead.Description) (fairlead.FacetDescription, bool) {
	if own, ok := d.Facet(fairlead.Config); ok {
		return own, true
	}
	store, ok := d.Facet(fairlead.KV)
	if !ok || fairlead.CheckAll(store, needed) != nil {
		return fairlead.FacetDescription{}, false
	}
	return derive(store), true
}

// needed is what a store must claim to serve as a source.
var needed = []fairlead.Requirement{kvdriver.ClaimList, kvdriver.ClaimWatch}

func derive(store fairlead.FacetDescription) fairlead.FacetDescription {
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
		"the provider describes no config facet, and its kv facet cannot serve as one: %w", fairlead.CheckAll(store, needed))
}
