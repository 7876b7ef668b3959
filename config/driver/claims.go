package driver

import "fairlead.dev"

// The claims of the config facet. The core promises on every provider that
// Snapshot returns the present values, that Next returns within seconds of a
// change, and that it reaches the last state.
const (
	// ClaimSnapshot: all values of a snapshot belong to one moment; the changes
	// of one Set are seen together or not at all.
	ClaimSnapshot fairlead.Claim = "config.Snapshot"
	// ClaimDeleteVisible: a deleted key differs from one with an empty value.
	ClaimDeleteVisible fairlead.Claim = "config.DeleteVisible"
	// ClaimWrite: settings can be written.
	ClaimWrite fairlead.Claim = "config.Write"
	// ClaimAtomicSet: the changes of one Set are made all together or not at all.
	ClaimAtomicSet fairlead.Claim = "config.AtomicSet"
	// ClaimCompareAndSet: a change can require that its key has a version, or
	// does not exist.
	ClaimCompareAndSet fairlead.Claim = "config.CompareAndSet"
)

// Claims returns the claims of this facet with their rules.
func Claims() []fairlead.ClaimInfo {
	return []fairlead.ClaimInfo{
		{Claim: ClaimSnapshot, Rule: "all values of a snapshot belong to one moment"},
		{Claim: ClaimDeleteVisible, Rule: "a deleted key differs from an empty one"},
		{Claim: ClaimWrite, Rule: "settings can be written"},
		{Claim: ClaimAtomicSet, Rule: "the changes of one set are made all together or not at all"},
		{Claim: ClaimCompareAndSet, Rule: "a set can demand that nobody changed the keys since a version"},
	}
}
