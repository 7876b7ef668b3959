package memory

import (
	"slices"
	"time"

	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

const (
	maxKeyBytes     = 64 << 10
	maxValueBytes   = 64 << 20
	maxTxnOps       = 10_000
	maxBatch        = 1_000
	maxMessageBytes = 64 << 20
	maxFrameBytes   = 64 << 20
)

func describe(b *backend, direct bool) providers.Description {
	return providers.Description{
		Provider: "memory",
		System:   "memory",
		Endpoint: b.name,
		Volatile: true,
		Facets: []providers.FacetDescription{
			facet(b, providers.KV, kvdriver.Claims(), providers.Limits{
				MaxKeyBytes:   maxKeyBytes,
				MaxValueBytes: maxValueBytes,
				MaxTxnOps:     maxTxnOps,
				MaxBatch:      maxBatch,
				TTLResolution: time.Millisecond,
				MinTTL:        time.Millisecond,
			}),
			facet(b, providers.PubSub, psdriver.Claims(), providers.Limits{
				MaxMessageBytes: maxMessageBytes,
				MaxBatch:        maxBatch,
				MinAckDeadline:  time.Millisecond,
				MaxDelay:        365 * 24 * time.Hour,
				DedupeWindow:    b.window,
			}),
			share(b, rpcFacet(direct)),
		},
	}
}

// claimAll claims everything that the facet knows, since this is the
// reference.
func claimAll(f providers.Facet, all []providers.ClaimInfo, l providers.Limits) providers.FacetDescription {
	d := providers.FacetDescription{Facet: f, Limits: l}
	for _, info := range all {
		d.Claims = append(d.Claims, info.Claim)
	}
	return d
}

// rpcFacet describes the carrier, or the directory if direct.
func rpcFacet(direct bool) providers.FacetDescription {
	f := claimAll(providers.RPC, rpcdriver.Claims(), providers.Limits{MaxFrameBytes: maxFrameBytes})
	if direct {
		f.Limits.MaxFrameBytes = 0 // what gRPC takes
		return f
	}
	f.Claims = slices.DeleteFunc(f.Claims, func(c providers.Claim) bool { return c == rpcdriver.ClaimDirectory })
	f.Missing = append(f.Missing, providers.Missing{
		Claim:  rpcdriver.ClaimDirectory,
		Reason: "calls are carried within the process",
		Remedy: "open it as mem://NAME?rpc=directory",
	})
	return f
}

// facet describes a facet that stores something.
func facet(b *backend, f providers.Facet, all []providers.ClaimInfo, l providers.Limits) providers.FacetDescription {
	d := claimAll(f, all, l)
	for _, c := range []providers.Claim{providers.DurableFsync, providers.DurableQuorum} {
		d.Missing = append(d.Missing, providers.Missing{
			Claim:  c,
			Reason: "everything is lost when the process ends",
			Remedy: "use a provider that stores, as redis://",
		})
	}
	return share(b, d)
}

// share claims Shared where it holds.
func share(b *backend, d providers.FacetDescription) providers.FacetDescription {
	if b.name != "" {
		d.Claims = append(d.Claims, providers.Shared)
		return d
	}
	d.Missing = append(d.Missing, providers.Missing{
		Claim:  providers.Shared,
		Reason: "every Open of mem:// has a backend of its own",
		Remedy: "give it a name, as mem://NAME",
	})
	return d
}
