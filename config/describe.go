package config

import (
	"fmt"

	"fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// maxKeyBytes is the longest key of a setting on every provider.
const maxKeyBytes = 512

// derivedClaims says which claim of the kv facet each claim of configuration
// on a store rests on; "" for those that every store meets.
//
// Snapshot needs no kv.SnapshotList: a listing of many moments becomes one of
// one moment by the events up to a known place. It needs kv.WatchTxn, without
// which the events between two places are no whole changes.
var derivedClaims = []struct{ claim, from providers.Claim }{
	{driver.ClaimSnapshot, kvdriver.ClaimWatchTxn},
	{driver.ClaimDeleteVisible, ""},
	{driver.ClaimWrite, ""},
	{driver.ClaimAtomicSet, kvdriver.ClaimTxn},
	{driver.ClaimCompareAndSet, kvdriver.ClaimCAS},
	{providers.DurableFsync, providers.DurableFsync},
	{providers.DurableQuorum, providers.DurableQuorum},
	{providers.Shared, providers.Shared},
}

// Describe returns what holds for configuration on a provider: its own config
// facet, or what follows from its kv facet. It is false if the provider offers
// neither.
func Describe(d providers.Description) (providers.FacetDescription, bool) {
	if own, ok := d.Facet(providers.Config); ok {
		return own, true
	}
	store, ok := d.Facet(providers.KV)
	if !ok || providers.CheckAll(store, needed) != nil {
		return providers.FacetDescription{}, false
	}
	return derive(store), true
}

// needed is what a store must claim to serve as a source.
var needed = []providers.Requirement{kvdriver.ClaimList, kvdriver.ClaimWatch}

func derive(store providers.FacetDescription) providers.FacetDescription {
	d := providers.FacetDescription{Facet: providers.Config, Limits: providers.Limits{
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

// notOffered says why a provider has no configuration.
func notOffered(d providers.Description) error {
	store, ok := d.Facet(providers.KV)
	if !ok {
		return providers.Errorf(providers.Unsupported, "the provider describes neither a config nor a kv facet")
	}
	return providers.Errorf(providers.Unsupported,
		"the provider describes no config facet, and its kv facet cannot serve as one: %w", providers.CheckAll(store, needed))
}
