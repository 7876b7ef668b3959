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

// Verified is the basis of a claim that rests on settings which the provider has read
// from the backend. The detail says which, and holds nothing that changes while they
// stay the same.
func Verified(detail string) fairlead.Basis {
	return fairlead.Basis{Kind: fairlead.Verified, Detail: detail}
}

// Asserted is the basis of a claim that rests on a setting of the URL, for example
// "assert-durable=true".
func Asserted(setting string) fairlead.Basis {
	return fairlead.Basis{Kind: fairlead.Asserted, Detail: setting}
}

// SettleClaim adds a claim to what f claims, with what it rests on. If something
// keeps it from holding, it adds the claim to what is missing instead, with all
// reasons and all remedies in one [fairlead.Missing].
func SettleClaim(f *fairlead.FacetDescription, claim fairlead.Claim, lacks []Lack, on ...fairlead.Basis) {
	if len(lacks) == 0 {
		f.Claims = append(f.Claims, claim)
		for _, b := range on {
			b.Claim = claim
			f.Bases = append(f.Bases, b)
		}
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
