package driver

import "fairlead.dev"

// The claims of the rpc facet. Every provider guarantees without a claim: the
// four kinds of call, with each message once and in order; metadata; deadline and
// cancellation; status with details.
const (
	// ClaimFullDuplex: the two directions of one call flow independently of each
	// other, and each can be closed separately.
	ClaimFullDuplex fairlead.Claim = "rpc.FullDuplex"
	// ClaimFlowControl: when a reader stops reading, the memory that its call
	// uses is bounded, on both sides and between them, and no other call slows
	// down.
	ClaimFlowControl fairlead.Claim = "rpc.FlowControl"
	// ClaimFastNoResponder: a call to a service without servers fails with
	// Unavailable within a second, whatever its deadline.
	ClaimFastNoResponder fairlead.Claim = "rpc.FastNoResponder"
	// ClaimLoadBalance: the calls of one client are spread over all servers of
	// the service.
	ClaimLoadBalance fairlead.Claim = "rpc.LoadBalance"
	// ClaimDirectory: the provider keeps the addresses of the servers, and calls
	// go straight to them as plain gRPC, so programs in any language can make
	// them. A provider that claims it is a [Directory]; every other one is a
	// [Carrier].
	ClaimDirectory fairlead.Claim = "rpc.Directory"
)

// Claims returns the claims of this facet with their rules.
func Claims() []fairlead.ClaimInfo {
	return []fairlead.ClaimInfo{
		{Claim: ClaimFullDuplex, Rule: "both directions of a call flow, and are closed, independently"},
		{Claim: ClaimFlowControl, Rule: "a slow reader bounds memory and slows down no other call"},
		{Claim: ClaimFastNoResponder, Rule: "a call without a server fails within a second"},
		{Claim: ClaimLoadBalance, Rule: "calls are spread over all servers of a service"},
		{Claim: ClaimDirectory, Rule: "calls are plain gRPC to the addresses that the provider keeps"},
	}
}
