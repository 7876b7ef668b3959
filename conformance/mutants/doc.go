// Package mutants holds providers that are broken on purpose: each breaks one
// rule of the contracts and no other, and names the cases of the suite that
// must catch it.
//
// They guard the suite: its test runs every mutant and demands that the named
// cases fail, by assertion and not by hanging, and that every case of the
// suite is failed by at least one mutant. A mutant that survives, and a case
// that no mutant fails, fail the build.
//
// A mutant is a thin wrapper over the memory provider: see kv.go, pubsub.go
// and open.go for the hooks.
package mutants
