package mutants

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// kvAbsentMutants do not make a claim at first, and later allow the calls that need
// it.
func kvAbsentMutants() []Mutant {
	var mutants []Mutant
	for _, info := range conformance.ClaimsOf(fairlead.KV) {
		name := strings.TrimPrefix(string(info.Claim), "kv.")
		m := kvMutantOf("hides-"+name, "the claim "+name+" is not made at first, and what needs it works", cases("kv/absent-"+strings.ToLower(name)), kvProvider{})
		m.Open = drifting(unclaim(fairlead.KV, info.Claim))
		if !claimedByMemory(info.Claim) {
			m.Open = describedLater(claimsOfKV(info.Claim))
		}
		mutants = append(mutants, m)
	}
	return mutants
}

// claimedByMemory reports whether mem:// claims it.
func claimedByMemory(c fairlead.Claim) bool {
	return !slices.Contains([]fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum, fairlead.Shared}, c)
}

// claimsOfKV adds claims to a description of the kv facet.
func claimsOfKV(claims ...fairlead.Claim) func(*fairlead.FacetDescription) {
	return func(f *fairlead.FacetDescription) {
		f.Claims = append(f.Claims, claims...)
		f.Missing = slices.DeleteFunc(f.Missing, func(m fairlead.Missing) bool { return slices.Contains(claims, m.Claim) })
	}
}

// describedLater opens memory providers that change all their descriptions except
// the first.
func describedLater(change func(*fairlead.FacetDescription)) conformance.Opener {
	return withHooksOf(func() hooks {
		first := true
		return hooks{describe: func(d *fairlead.Description) {
			for i := range d.Facets {
				if d.Facets[i].Facet == fairlead.KV && !first {
					change(&d.Facets[i])
				}
			}
			first = false
		}}
	})
}

var kvClaimMutants = []Mutant{
	kvMutantOf("stores-all", "Stores has all names, whatever the prefix", cases("kv/stores-listed"), kvProvider{
		stores: func(ctx context.Context, p driver.Provider, _ string) ([]string, error) { return p.Stores(ctx, "") },
	}),
	kvMutantOf("stores-twice", "Stores has each name twice", cases("kv/stores-listed"), kvProvider{
		stores: func(ctx context.Context, p driver.Provider, prefix string) ([]string, error) {
			names, err := p.Stores(ctx, prefix)
			return append(names, names...), err
		},
	}),
	kvMutantOf("delete-store-dropped", "DeleteStore does nothing", cases("kv/store-deleted", "kv/store-deleted-open"), kvProvider{
		remove: func(context.Context, driver.Provider, string) error { return nil },
	}),
	kvMutantOf("delete-store-prefix", "DeleteStore deletes all stores whose names start with the given name", cases("kv/store-deleted-others"), kvProvider{
		remove: func(ctx context.Context, p driver.Provider, prefix string) error {
			names, err := p.Stores(ctx, prefix)
			for _, name := range names {
				_ = p.DeleteStore(ctx, name)
			}
			return err
		},
	}),
	silentWhenDeleted(),
	kvMutantOf("delete-store-missing", "DeleteStore of a missing store fails", cases("kv/store-deleted-others"), kvProvider{
		remove: func(ctx context.Context, p driver.Provider, name string) error {
			if names, err := p.Stores(ctx, name); err != nil || !slices.Contains(names, name) {
				return fairlead.Errorf(fairlead.NotFound, "no store %q", name)
			}
			return p.DeleteStore(ctx, name)
		},
	}),
	kvMutantOf("shared-claimed", "Shared is claimed, and every Open has data of its own", cases("kv/shared-sees", "kv/shared-cas", "kv/shared-watch", "kv/shared-survives"), kvProvider{describe: claimsOfKV(fairlead.Shared)}),
	durableAtFirst("durable-fsync", fairlead.DurableFsync),
	durableAtFirst("durable-quorum", fairlead.DurableQuorum),
}

// silentWhenDeleted is a mutant whose watchers wait for ever when a store was
// deleted.
func silentWhenDeleted() Mutant {
	var deleted atomic.Bool
	return kvMutantOf("delete-store-silences", "watchers go silent when their store is deleted", cases("kv/store-deleted-watch", "config/watch-recreated"), kvProvider{
		remove: func(ctx context.Context, p driver.Provider, name string) error {
			deleted.Store(true)
			return p.DeleteStore(ctx, name)
		},
		wrap: changed(func(s driver.Store) store {
			return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
				return func(ctx context.Context) ([]driver.Event, error) {
					if events, err := w.Next(ctx); !deleted.Load() {
						return events, err
					}
					<-ctx.Done()
					return nil, fairlead.ContextError(ctx)
				}
			})
		}),
	})
}

// durableAtFirst withdraws a claim of durability.
func durableAtFirst(name string, c fairlead.Claim) Mutant {
	return kvDrift(name+"-withdrawn", "the claim "+string(c)+" is made once and never again", cases("kv/"+name), claimsOfKV(c))
}

// before returns the memory provider's revision that precedes rev.
func before(rev driver.Revision) driver.Revision {
	n, err := strconv.ParseUint(string(rev), 10, 64)
	if err != nil {
		return rev
	}
	return driver.Revision(strconv.FormatUint(n-1, 10))
}
