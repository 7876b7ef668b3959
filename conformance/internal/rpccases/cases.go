// Package rpccases holds the suite's cases of the rpc facet.
package rpccases

import (
	"slices"

	"fairlead.dev/conformance/internal/suite"
)

// Cases returns the cases in the order in which they run.
func Cases() []suite.Case {
	return slices.Concat(
		callCases,
		directoryCases,
		flowCases,
		optionCases,
		serverCases,
		absentCases(),
		statusCases,
	)
}
