// Package handle keeps what every opened facet knows about its provider. It
// checks the program's requirements when the facet is opened, and again with
// every change of the provider's description.
package handle

import (
	"context"
	"strings"
	"sync/atomic"

	"fairlead.dev"
)

// Handle is an opened facet of a provider.
type Handle struct {
	Provider string // the provider's name
	System   string // as in [fairlead.Description]
	Facet    fairlead.FacetDescription

	lost         atomic.Pointer[fairlead.Error] // nil while all requirements hold
	stopChecking context.CancelFunc
	stopped      chan struct{} // closed when the checking goroutine has ended; nil without requirements
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
	h := &Handle{Provider: d.Provider, System: d.System, stopChecking: func() {}}
	if h.Facet, err = findFacet(d, f, reqs); err != nil {
		return nil, fairlead.Annotate(err, "", d.Provider)
	}
	if len(reqs) > 0 {
		h.startChecking(p, d.Generation, f, reqs)
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

// startChecking checks the requirements with every later description, in a
// goroutine that ends with Close or with the provider.
func (h *Handle) startChecking(p fairlead.Provider, generation uint64, f fairlead.Facet, reqs []fairlead.Requirement) {
	ctx, stop := context.WithCancel(context.Background())
	h.stopChecking, h.stopped = stop, make(chan struct{})
	go func() {
		defer close(h.stopped)
		for {
			d, err := p.Await(ctx, generation)
			if err != nil {
				return // the provider is closed: every call of the facet fails by itself
			}
			generation = d.Generation
			_, err = findFacet(d, f, reqs)
			lost, _ := err.(*fairlead.Error)
			h.lost.Store(lost)
		}
	}()
}

// CheckRequirements returns an Unsupported error while a requirement does not
// hold.
func (h *Handle) CheckRequirements() error {
	if lost := h.lost.Load(); lost != nil {
		return lost
	}
	return nil
}

// CheckClaim returns an Unsupported error if the claim did not hold when the
// handle was opened.
func (h *Handle) CheckClaim(c fairlead.Claim) error {
	if m, lacks := c.Check(h.Facet); lacks {
		return fairlead.Errorf(fairlead.Unsupported, "%s", m)
	}
	return nil
}

// Close stops the checking, and returns when its goroutine has ended.
func (h *Handle) Close() {
	h.stopChecking()
	if h.stopped != nil {
		<-h.stopped
	}
}
