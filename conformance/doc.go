// Package conformance is the suite that every provider passes.
//
// A [Case] is data: a name, a facet, the claims that it needs, its rule in one
// line, and a function. [Cases] returns them all. A case whose claims hold is
// run; one that tests the absence of a claim is run where the claim does not
// hold, and demands that the ability answers Unsupported. So a provider fails
// for claiming too much and for claiming too little.
//
// # From a test
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
//			return fairlead.Open(ctx, "redis://127.0.0.1:6379")
//		})
//	}
//
// # From a program
//
// [Run] needs no package testing and returns a [Report]: what was run, and for
// every claim whether it was proven, refuted, or not claimed. The command
// "fairlead conformance URL" prints it.
//
// # On shared infrastructure
//
// A run touches only names that start with [Prefix], each with the time of
// the run and a random part; it removes them when it ends, also when its
// context ends early. What a run that was killed has left is removed by
// [Clean]. Names on a provider that does not claim Manage cannot be removed;
// the report names them.
//
// # What a pass does not say
//
// A case sees what a client can see. That an acknowledged write is on stable
// storage cannot be seen by a client: the durability cases check that the
// provider's probe holds and, given a [Control] that kills and starts the
// backend, that nothing acknowledged is lost by a kill. A loss of power is
// more than a kill.
package conformance
