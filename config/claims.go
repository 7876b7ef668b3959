package config

import "fairlead.dev/config/driver"

// The claims of the facet; see package driver for their full rules.
const (
	// Snapshot: all values of a [State] belong to one moment.
	Snapshot = driver.ClaimSnapshot
	// DeleteVisible: a deleted key differs from one with an empty value.
	DeleteVisible = driver.ClaimDeleteVisible
	// Write: settings can be written.
	Write = driver.ClaimWrite
	// AtomicSet: the changes of one Set are made all together or not at all.
	AtomicSet = driver.ClaimAtomicSet
	// CompareAndSet: [Create], [PutIf] and [DeleteIf] check the key.
	CompareAndSet = driver.ClaimCompareAndSet
)
