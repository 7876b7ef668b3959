package suite

import (
	"slices"

	"fairlead.dev"
	"fairlead.dev/config"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// ClaimsOf returns the claims that a facet knows, with their rules.
func ClaimsOf(f fairlead.Facet) []fairlead.ClaimInfo {
	var infos []fairlead.ClaimInfo
	switch f {
	case fairlead.KV:
		infos = kvdriver.Claims()
	case fairlead.PubSub:
		infos = psdriver.Claims()
	case fairlead.RPC:
		// A call stores nothing that could be durable.
		return slices.DeleteFunc(append(rpcdriver.Claims(), fairlead.CommonClaims()...), func(c fairlead.ClaimInfo) bool { return IsDurability(c.Claim) })
	case fairlead.Config:
		infos = configdriver.Claims()
	}
	return slices.Concat(infos, fairlead.CommonClaims())
}

// FacetOf returns the part of a description for a facet. It includes the config
// facet that a kv facet provides.
func FacetOf(d fairlead.Description, f fairlead.Facet) (fairlead.FacetDescription, bool) {
	if f == fairlead.Config {
		return config.Describe(d)
	}
	return d.Facet(f)
}

// IsDurability reports whether a claim is about data that outlives the backend's
// process. Cases cannot observe such a claim while the process lives.
func IsDurability(c fairlead.Claim) bool {
	return c == fairlead.DurableFsync || c == fairlead.DurableQuorum
}
