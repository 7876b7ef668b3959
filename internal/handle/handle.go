// Package handle is what the portable types of every facet know about their
// provider: it checks requirements when a facet is opened, and keeps them
// checked while it is open.
package handle

import (
	"context"
	"regexp"
	"sync/atomic"

	"fairlead.dev"
)

// Handle is what every opened facet knows about its provider.
type Handle struct {
	Provider string // the provider's name
	System   string // of the OpenTelemetry semantic conventions
	Facet    fairlead.FacetDescription

	lost atomic.Pointer[fairlead.Error] // a requirement that no longer holds
	stop context.CancelFunc
	done chan struct{} // closed when the watching goroutine has ended
}

// Open checks that p offers the facet and that the requirements hold. While
// the handle is open, requirements are checked anew with every change of the
// provider's description.
func Open(ctx context.Context, p fairlead.Provider, f fairlead.Facet, reqs []fairlead.Requirement) (*Handle, error) {
	if p == nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the provider is nil; open one with fairlead.Open")
	}
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	h := &Handle{Provider: d.Provider, System: d.System, stop: func() {}}
	if h.Facet, err = check(d, f, reqs); err != nil {
		return nil, fairlead.Annotate(err, "", d.Provider)
	}
	if len(reqs) > 0 {
		h.watch(p, d.Generation, f, reqs)
	}
	return h, nil
}

func check(d fairlead.Description, f fairlead.Facet, reqs []fairlead.Requirement) (fairlead.FacetDescription, error) {
	fd, ok := d.Facet(f)
	if !ok {
		return fd, fairlead.Errorf(fairlead.Unsupported, "this provider does not offer the facet %s", f)
	}
	return fd, fairlead.CheckAll(fd, reqs)
}

func (h *Handle) watch(p fairlead.Provider, generation uint64, f fairlead.Facet, reqs []fairlead.Requirement) {
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.done = stop, make(chan struct{})
	go func() {
		defer close(h.done)
		for {
			d, err := p.Await(ctx, generation)
			if err != nil {
				return // closed: every call says so itself
			}
			generation = d.Generation
			_, err = check(d, f, reqs)
			lost, _ := err.(*fairlead.Error)
			h.lost.Store(lost)
		}
	}()
}

// Ready returns an Unsupported error while a requirement does not hold.
func (h *Handle) Ready() error {
	if lost := h.lost.Load(); lost != nil {
		return lost
	}
	return nil
}

// Needs returns an Unsupported error unless the claim holds.
func (h *Handle) Needs(c fairlead.Claim) error {
	if m, lacks := c.Check(h.Facet); lacks {
		return fairlead.Errorf(fairlead.Unsupported, "%s", m)
	}
	return nil
}

// Close ends the checking.
func (h *Handle) Close() {
	h.stop()
	if h.done != nil {
		<-h.done
	}
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// CheckName returns an Invalid error unless name may name a store, topic,
// group, service or source.
func CheckName(what, name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fairlead.Errorf(fairlead.Invalid,
		"the %s name %q is not accepted; use 1 to 128 of A–Z a–z 0–9 . _ -, the first a letter or digit", what, name)
}
