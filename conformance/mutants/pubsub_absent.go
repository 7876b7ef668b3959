package mutants

import (
	"context"
	"strings"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/conformance"
	psdriver "fairlead.dev/pubsub/driver"
)

// pubsubAbsentMutants do not make a claim at first, and later allow the calls that
// need it.
func pubsubAbsentMutants() []Mutant {
	var mutants []Mutant
	for _, info := range append(psdriver.Claims(), fairlead.CommonClaims()...) {
		name := strings.TrimPrefix(string(info.Claim), "pubsub.")
		mutants = append(mutants, Mutant{
			Name: "pubsub-hides-" + name, Breaks: "the claim " + name + " is not made at first, and what needs it works",
			CaughtBy: cases("pubsub/absent-" + name), Open: hiding(info.Claim),
		})
	}
	return mutants
}

// hiding opens memory providers that make a claim in every description except the
// first.
func hiding(c fairlead.Claim) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, "mem://")
		if err != nil {
			return nil, err
		}
		var later atomic.Bool
		return &hooked{p.(whole), hooks{describe: func(d *fairlead.Description) {
			unclaim(fairlead.PubSub, c)(d)
			if later.Swap(true) {
				claim(c)(d)
			}
		}}}, nil
	}
}
