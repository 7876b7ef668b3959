package driver

import "fairlead.dev"

// The claims of the rpc facet. What the core promises on every provider needs
// no claim: the four kinds of call, in order and each message once, metadata,
// deadline and cancellation, status with details.
const (
	// ClaimFullDuplex: both directions of one call flow independently of each
	// other, and each can be closed alone.
	ClaimFullDuplex fairlead.Claim = "rpc.FullDuplex"
	// ClaimFlowControl: a reader that stops reading bounds the memory that its
	// call takes on both sides and between them, and slows down no other call.
	ClaimFlowControl fairlead.Claim = "rpc.FlowControl"
	// ClaimFastNoResponder: a call of a service that nobody serves fails with
	// Unavailable within a second, whatever its deadline.
	ClaimFastNoResponder fairlead.Claim = "rpc.FastNoResponder"
	// ClaimLoadBalance: the calls of one client are spread over all servers of
	// the service.
	ClaimLoadBalance fairlead.Claim = "rpc.LoadBalance"
	// ClaimDirectory: the provider keeps the addresses of the servers, and
	// calls go straight to them as plain gRPC, which is open to programs in any
	// language. A provider that claims it is a [Directory], every other one is
	// a [Carrier].
	ClaimDirectory fairlead.Claim = "rpc.Directory"
)

// Claims returns the claims of this facet with their rules.
func Claims() []fairlead.ClaimInfo {
	return []fairlead.ClaimInfo{
		{Claim: ClaimFullDuplex, Rule: "both directions of a call flow, and are closed, independently"},
		{Claim: ClaimFlowControl, Rule: "a slow reader bounds memory and slows down no other call"},
		{Claim: ClaimFastNoResponder, Rule: "a call that nobody serves fails within a second"},
		{Claim: ClaimLoadBalance, Rule: "calls are spread over all servers of a service"},
		{Claim: ClaimDirectory, Rule: "calls are plain gRPC to the addresses that the provider keeps"},
	}
}
