// Package pubsubcases holds the suite's cases of the pubsub facet.
package pubsubcases

import (
	"slices"

	"fairlead.dev/conformance/internal/suite"
)

// Cases returns the cases in the order in which they run.
func Cases() []suite.Case {
	return slices.Concat(
		absentCases(),
		boundCases,
		claimCases,
		closeCases,
		contentCases(),
		deadCases,
		fullCases,
		groupCases,
		handleCases,
		leaseCases,
		operatorCases,
		optionCases,
		orderCases,
		keyCases,
		publishCases,
		releaseCases,
		restartCases,
		durableCases(),
		settleCases,
		startCases,
	)
}
