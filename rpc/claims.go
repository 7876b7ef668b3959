package rpc

import "fairlead.dev/rpc/driver"

// The claims of this facet, to be demanded with [Require]. Their exact
// meaning stands with the constants of the same name in package driver.
const (
	FullDuplex      = driver.ClaimFullDuplex      // both directions of a call are independent
	FlowControl     = driver.ClaimFlowControl     // a slow reader bounds memory
	FastNoResponder = driver.ClaimFastNoResponder // a call that nobody serves fails within a second
	LoadBalance     = driver.ClaimLoadBalance     // calls are spread over all servers
	Directory       = driver.ClaimDirectory       // calls are plain gRPC, straight to the servers
)
