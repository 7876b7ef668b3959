// Package configcases holds the suite's cases of the config facet.
package configcases

import (
	"slices"

	"fairlead.dev/conformance/internal/suite"
)

// Cases returns the cases in the order in which they run.
func Cases() []suite.Case {
	return slices.Concat(
		basicCases,
		checkedCases,
		claimCases,
		absentCases(),
		fullCases,
		nextCases,
		restartCases,
		typedCases,
	)
}
