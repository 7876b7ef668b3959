package mutants

import (
	"slices"

	"fairlead.dev/conformance"
)

// Mutant is a broken provider.
type Mutant struct {
	Name   string
	Breaks string   // the rule, in one line
	Caught []string // the cases that must fail
	// Open opens the broken provider. All Opens of one mutant that are alive
	// at once reach the same backend.
	Open conformance.Opener
	// Control, if not nil, makes the control of the mutant's backend.
	Control func() conformance.Control
}

var all [][]Mutant

// All returns the mutants.
func All() []Mutant { return slices.Concat(all...) }
