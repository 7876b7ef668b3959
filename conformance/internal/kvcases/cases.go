// Package kvcases holds the suite's cases of the kv facet.
package kvcases

import (
	"slices"

	"fairlead.dev/conformance/internal/suite"
)

// Cases returns the cases in the order in which they run.
func Cases() []suite.Case {
	return slices.Concat(
		callCases,
		casCases,
		absentCases(),
		manageCases,
		sharedCases,
		coreCases,
		durableCases(),
		killCases,
		keyCases(),
		boundCases,
		fullBackendCases,
		keyRefusalCases,
		linearCases,
		listCases,
		operatorCases,
		ttlCases(),
		txnCases,
		watchCases,
		watchEveryCases,
		watchGapCases,
	)
}
