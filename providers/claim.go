package providers

import (
	"strings"

	"fairlead.dev"
)

// Lack is one thing that keeps a claim from holding.
type Lack struct {
	Reason string // what the backend is like, for example "appendonly is no"
	Remedy string // what an operator can do; empty if nothing helps
}

// SettleClaim adds a claim to what f claims. If something keeps it from
// holding, it adds the claim to what is missing instead, with all reasons and
// all remedies in one [fairlead.Missing].
func SettleClaim(f *fairlead.FacetDescription, claim fairlead.Claim, lacks []Lack) {
	if len(lacks) == 0 {
		f.Claims = append(f.Claims, claim)
		return
	}
	var reasons, remedies []string
	for _, l := range lacks {
		reasons = append(reasons, l.Reason)
		if l.Remedy != "" {
			remedies = append(remedies, l.Remedy)
		}
	}
	f.Missing = append(f.Missing, fairlead.Missing{
		Claim: claim, Reason: strings.Join(reasons, "; also "), Remedy: strings.Join(remedies, "; also "),
	})
}
