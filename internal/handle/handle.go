// Package handle keeps what every opened facet knows about its provider. It
// checks the program's requirements when the facet is opened, and again with
// every change of the provider's description.
package handle

import (
	"context"
	"strings"

	"fairlead.dev"
)

// Handle is an opened facet of a provider.
type Handle struct {
	Provider string // the provider's name
	System   string // as in [fairlead.Description]
	Facet    fairlead.FacetDescription

	Requirements *Requirements // nil if the program has none
}

// Open checks that p offers the facet and that the requirements hold. While
// the handle is open, the requirements are checked with every change of the
// provider's description.
func Open(ctx context.Context, p fairlead.Provider, f fairlead.Facet, reqs []fairlead.Requirement) (*Handle, error) {
	if p == nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the provider is nil; open one with fairlead.Open")
	}
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	h := &Handle{Provider: d.Provider, System: d.System}
	if h.Facet, err = findFacet(d, f, reqs); err != nil {
		return nil, fairlead.Annotate(err, "", d.Provider)
	}
	if len(reqs) > 0 {
		h.Requirements = WatchRequirements(p, d.Generation, func(d fairlead.Description) error {
			_, err := findFacet(d, f, reqs)
			return err
		})
	}
	return h, nil
}

// findFacet returns the description of a facet, and an Unsupported error if
// the provider does not offer it or a requirement does not hold.
func findFacet(d fairlead.Description, f fairlead.Facet, reqs []fairlead.Requirement) (fairlead.FacetDescription, error) {
	fd, ok := d.Facet(f)
	if !ok {
		return fd, fairlead.Errorf(fairlead.Unsupported, "this provider does not offer the facet %s%s", f, reasonOf(d))
	}
	return fd, fairlead.CheckRequirements(fd, reqs)
}

// reasonOf returns what the provider says of its backend, in which the reason why it
// lacks a facet is.
func reasonOf(d fairlead.Description) string {
	if len(d.Notes) == 0 {
		return ""
	}
	return ": " + strings.Join(d.Notes, "; ")
}

// CheckClaim returns an Unsupported error if the claim did not hold when the
// handle was opened.
func (h *Handle) CheckClaim(c fairlead.Claim) error {
	if m, lacks := c.Check(h.Facet); lacks {
		return fairlead.Errorf(fairlead.Unsupported, "%s", m)
	}
	return nil
}

// Close stops the checking of the requirements.
func (h *Handle) Close() { h.Requirements.Close() }
