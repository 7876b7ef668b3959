// Package conformance is the suite that every provider passes.
//
// A [Case] is data: a name, a facet, the claims that it needs, its rule in one
// line, and a function. [Cases] returns them all. A case is run if its claims
// hold. A case that tests the absence of a claim is run if the claim does not
// hold, and demands that calls that need it return Unsupported. So a provider
// fails for claiming too much and for claiming too little.
//
// # From a test
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
//			return fairlead.Open(ctx, "redis://127.0.0.1:6379")
//		})
//	}
//
// Each case is a subtest: "go test -run TestConformance/kv/list-pages" runs one.
//
// # From a program
//
// [Run] needs no package testing and returns a [Report]: what was run, and for
// every claim which kind of evidence there is (see [Verdict]). The command
// "fairlead conformance URL" prints it. [Rules] returns the sentences that the cases
// test; a claim is the set of rules that name it.
//
// The [Conclusion] about the provider as a whole is Conforms, DoesNotConform or
// Undecided. Only a failed assertion, or a call that does not end, counts against a
// provider. A case could not run if something that it needs failed: the [Control],
// the [Filler] or the [Operator], a backend that does not serve again or refuses the
// user, or the time limit of the case while the backend still answers.
//
// # On shared infrastructure
//
// A run touches only names that start with [Prefix], each with the time of
// the run and a random part. It removes them when it ends, also when its
// context ends early, and what the provider keeps for them ([providers.Cleaner]).
// [Clean] does the same for all names that killed runs have left. Names on a
// provider that does not claim Manage cannot be removed, and the addresses of rpc
// servers in the directory of a provider that is no Cleaner, or that runs in a
// separate process, end with their leases; the report lists what was left.
// [WithMaxRate] bounds the calls in a second.
//
// # Time limits
//
// A slow backend conforms. A run measures some cheap calls first, and the time limits
// of its cases grow with the round trip; [Pace] has the formula.
//
// # What a pass does not say
//
// A case sees what a client can see, and a client cannot see whether an
// acknowledged write is on stable storage. The durability cases check that the
// provider's probe holds. Given a [Control] that kills and starts the backend,
// they also check that a kill loses no acknowledged write. A loss of power is
// more than a kill.
package conformance
