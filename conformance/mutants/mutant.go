package mutants

import (
	"slices"

	"fairlead.dev/conformance"
)

// Mutant is a broken provider.
type Mutant struct {
	Name     string
	Breaks   string   // the rule, in one line
	CaughtBy []string // the cases that must fail
	// Open opens the broken provider. All Opens of one mutant that are alive
	// at once reach the same backend.
	Open conformance.Opener
	// Control, if not nil, makes the control of the mutant's backend.
	Control func() conformance.Control
	// Filler, if not nil, fills the mutant's backend.
	Filler conformance.Filler
	// Operator, if not nil, changes the mutant's backend as other programs do.
	Operator conformance.Operator
}

// All returns the mutants, each facet's in a row.
func All() []Mutant {
	return slices.Concat(
		configClaimMutants, configAbsentMutants(), configNextMutants, configRestartMutants, configValueMutants,
		kvBoundMutants, kvCallMutants(), kvCASMutants, kvTxnMutants, kvAbsentMutants(), kvClaimMutants, kvCoreMutants(), kvFullMutants(), kvKeyMutants(), kvKillMutants(), kvListMutants, kvOperatorMutants(), kvTTLMutants, kvWatchMutants, kvNextMutants,
		openDescribeMutants, openLifeMutants, openErrorMutants,
		pubsubAbsentMutants(), pubsubBoundMutants, pubsubContentMutants, pubsubFullMutants(), pubsubOperatorMutants(), pubsubReceiveMutants, pubsubRestartMutants(), pubsubSettleMutants, pubsubStoreMutants,
		rpcCallMutants, rpcDirectoryMutants, rpcFullMutants(), rpcOptionMutants, rpcServerMutants, rpcAbsentMutants(),
	)
}

// cases returns a list of the names of cases.
func cases(names ...string) []string { return names }
