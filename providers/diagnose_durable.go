package providers

import (
	"context"
	"fmt"
	"strings"

	"fairlead.dev"
)

// checkDurability says which claims of durability hold, and why others do not.
func (d *diagnosis) checkDurability(context.Context) (found []Finding) {
	if d.described.Provider == "" {
		return []Finding{{Status: CheckNotReached, Seen: "the check " + CheckOpen + " failed"}}
	}
	if holds := d.durableFacets(); holds != "" {
		found = append(found, Finding{Status: CheckOK, Seen: holds})
	}
	missing, facets := d.missingClaims()
	for _, m := range missing {
		f := Finding{Status: CheckWarning, Subject: string(m.Claim), Fix: m.Remedy, Seen: "does not hold"}
		if m.Remedy == "" { // nobody can change it
			f.Status, f.Seen = CheckOK, "cannot hold"
		}
		f.Seen += fmt.Sprintf(" (%s): %s", strings.Join(facets[m], ", "), m.Reason)
		found = append(found, f)
	}
	if len(found) == 0 {
		return []Finding{{Status: CheckNotTold, Seen: "the provider says nothing about durability"}}
	}
	return found
}

var durabilityClaims = []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum}

// durableFacets says for each claim of durability for which facets it holds.
func (d *diagnosis) durableFacets() string {
	var texts []string
	for _, claim := range durabilityClaims {
		var facets []string
		for _, f := range d.described.Facets {
			if f.Has(claim) {
				facets = append(facets, string(f.Facet))
			}
		}
		if len(facets) > 0 {
			texts = append(texts, fmt.Sprintf("%s holds (%s)", claim, strings.Join(facets, ", ")))
		}
	}
	return strings.Join(texts, "; ")
}

// missingClaims returns the claims of durability that do not hold, each once for every
// reason, with the facets.
func (d *diagnosis) missingClaims() (missing []fairlead.Missing, facets map[fairlead.Missing][]string) {
	facets = map[fairlead.Missing][]string{}
	for _, claim := range durabilityClaims {
		for _, f := range d.described.Facets {
			for _, m := range f.Missing {
				if m.Claim != claim {
					continue
				}
				if facets[m] == nil {
					missing = append(missing, m)
				}
				facets[m] = append(facets[m], string(f.Facet))
			}
		}
	}
	return missing, facets
}
