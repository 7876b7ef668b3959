package memory

import (
	"slices"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
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

func describe(b *backend, direct bool) fairlead.Description {
	return fairlead.Description{
		Provider: "memory",
		System:   "memory",
		Endpoint: b.name,
		Volatile: true,
		Facets: []fairlead.FacetDescription{
			facet(b, fairlead.KV, kvdriver.Claims(), fairlead.Limits{
				MaxKeyBytes:   maxKeyBytes,
				MaxValueBytes: maxValueBytes,
				MaxTxnOps:     maxTxnOps,
				MaxBatch:      maxBatch,
				TTLResolution: time.Millisecond,
				MinTTL:        time.Millisecond,
			}),
			facet(b, fairlead.PubSub, psdriver.Claims(), fairlead.Limits{
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
func claimAll(f fairlead.Facet, all []fairlead.ClaimInfo, l fairlead.Limits) fairlead.FacetDescription {
	d := fairlead.FacetDescription{Facet: f, Limits: l}
	for _, info := range all {
		d.Claims = append(d.Claims, info.Claim)
	}
	return d
}

// rpcFacet describes the carrier, or the directory if direct.
func rpcFacet(direct bool) fairlead.FacetDescription {
	f := claimAll(fairlead.RPC, rpcdriver.Claims(), fairlead.Limits{MaxFrameBytes: maxFrameBytes})
	if direct {
		f.Limits.MaxFrameBytes = 0 // what gRPC takes
		return f
	}
	f.Claims = slices.DeleteFunc(f.Claims, func(c fairlead.Claim) bool { return c == rpcdriver.ClaimDirectory })
	f.Missing = append(f.Missing, fairlead.Missing{
		Claim:  rpcdriver.ClaimDirectory,
		Reason: "calls are carried within the process",
		Remedy: "open it as mem://NAME?rpc=directory",
	})
	return f
}

// facet describes a facet that stores something.
func facet(b *backend, f fairlead.Facet, all []fairlead.ClaimInfo, l fairlead.Limits) fairlead.FacetDescription {
	d := claimAll(f, all, l)
	for _, c := range []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum} {
		d.Missing = append(d.Missing, fairlead.Missing{
			Claim:  c,
			Reason: "everything is lost when the process ends",
			Remedy: "use a provider that stores, as redis://",
		})
	}
	return share(b, d)
}

// share claims Shared where it holds.
func share(b *backend, d fairlead.FacetDescription) fairlead.FacetDescription {
	if b.name != "" {
		d.Claims = append(d.Claims, fairlead.Shared)
		return d
	}
	d.Missing = append(d.Missing, fairlead.Missing{
		Claim:  fairlead.Shared,
		Reason: "every Open of mem:// has a backend of its own",
		Remedy: "give it a name, as mem://NAME",
	})
	return d
}
