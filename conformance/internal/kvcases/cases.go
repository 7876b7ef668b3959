// Package kvcases holds the suite's cases of the kv facet.
package kvcases

import (
	"slices"

	"fairlead.dev/conformance/internal/suite"
)

// Cases returns the cases in the order in which they run.
func Cases() []suite.Case {
	return slices.Concat(
		kvCalls,
		kvCAS,
		kvAbsent(),
		kvManage,
		kvShared,
		kvCore,
		kvDurable(),
		kvKill,
		kvKeyCases(),
		kvKeyRefusals,
		kvLinear,
		kvList,
		kvTTL(),
		kvTxn,
		kvWatch,
		kvWatchEvery,
		kvWatchGaps,
	)
}
