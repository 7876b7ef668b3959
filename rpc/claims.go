package rpc

import "fairlead.dev/rpc/driver"

// The claims of this facet, for [Require]. Package driver defines their exact
// meaning.
const (
	FullDuplex      = driver.ClaimFullDuplex      // both directions of a call are independent
	FlowControl     = driver.ClaimFlowControl     // a slow reader bounds memory
	FastNoResponder = driver.ClaimFastNoResponder // a call without a server fails within a second
	LoadBalance     = driver.ClaimLoadBalance     // calls are spread over all servers
	Directory       = driver.ClaimDirectory       // calls are plain gRPC, straight to the servers
)
