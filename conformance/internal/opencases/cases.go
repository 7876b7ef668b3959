// Package opencases holds the suite's cases of opening, describing and closing a
// provider, and of its errors.
package opencases

import (
	"slices"

	"fairlead.dev/conformance/internal/suite"
)

// Cases returns the cases in the order in which they run.
func Cases() []suite.Case {
	return slices.Concat(
		describeCases,
		errorCases,
		lifeCases,
		closedProviderCases(),
		nameCases,
	)
}
