package memory

import (
	"slices"
	"time"

	"fairlead.dev"
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
	maxDelay        = 365 * 24 * time.Hour
	maxHistory      = 1_000_000_000
)

// describe returns what a provider on the backend guarantees. rpcDirectory
// selects the directory as its rpc facet, otherwise it is the carrier.
func describe(b *backend, rpcDirectory bool) fairlead.Description {
	return fairlead.Description{
		Provider: "memory",
		System:   "memory",
		Endpoint: b.name,
		Volatile: true,
		Facets: []fairlead.FacetDescription{
			settleShared(b, describeKV()),
			settleShared(b, describePubSub(b)),
			settleShared(b, describeRPC(rpcDirectory)),
		},
	}
}

func describeKV() fairlead.FacetDescription {
	return disclaimDurability(claimAll(fairlead.KV, kvdriver.Claims(), fairlead.Limits{
		MaxKeyBytes:   maxKeyBytes,
		MaxValueBytes: maxValueBytes,
		MaxTxnOps:     maxTxnOps,
		MaxBatch:      maxBatch,
		TTLResolution: time.Millisecond,
		MinTTL:        time.Millisecond,
	}))
}

func describePubSub(b *backend) fairlead.FacetDescription {
	return disclaimDurability(claimAll(fairlead.PubSub, psdriver.Claims(), fairlead.Limits{
		MaxMessageBytes: maxMessageBytes,
		MaxBatch:        maxBatch,
		MinAckDeadline:  time.Millisecond,
		MaxDelay:        maxDelay,
		DedupeWindow:    b.dedupeWindow,
	}))
}

func describeRPC(directory bool) fairlead.FacetDescription {
	f := claimAll(fairlead.RPC, rpcdriver.Claims(), fairlead.Limits{MaxFrameBytes: maxFrameBytes})
	if directory {
		f.Limits.MaxFrameBytes = 0 // gRPC has its own limit
		return f
	}
	f.Claims = slices.DeleteFunc(f.Claims, func(c fairlead.Claim) bool { return c == rpcdriver.ClaimDirectory })
	providers.SettleClaim(&f, rpcdriver.ClaimDirectory, []providers.Lack{
		{Reason: "calls are carried within the process", Remedy: "open it as mem://NAME?rpc=directory"},
	})
	return f
}

// claimAll returns a facet with all claims that exist for it: this provider is
// the reference model.
func claimAll(f fairlead.Facet, all []fairlead.ClaimInfo, l fairlead.Limits) fairlead.FacetDescription {
	d := fairlead.FacetDescription{Facet: f, Limits: l}
	for _, info := range all {
		d.Claims = append(d.Claims, info.Claim)
	}
	return d
}

// disclaimDurability says why a facet that stores data is not durable.
func disclaimDurability(d fairlead.FacetDescription) fairlead.FacetDescription {
	lacks := []providers.Lack{
		{Reason: "all data is lost when the process ends", Remedy: "use a provider that stores data, for example redis://"},
	}
	providers.SettleClaim(&d, fairlead.DurableFsync, lacks)
	providers.SettleClaim(&d, fairlead.DurableQuorum, lacks)
	return d
}

// settleShared claims Shared for a named backend, and says why not for another.
func settleShared(b *backend, d fairlead.FacetDescription) fairlead.FacetDescription {
	var lacks []providers.Lack
	if b.name == "" {
		lacks = append(lacks, providers.Lack{Reason: "every Open of mem:// has a backend of its own", Remedy: "name the backend, for example mem://NAME"})
	}
	providers.SettleClaim(&d, fairlead.Shared, lacks)
	return d
}
