package portable

import (
	"context"
	"regexp"
	"sync/atomic"

	"fairlead.dev/providers"
)

// Handle is what every opened facet knows about its provider.
type Handle struct {
	Provider string // the provider's name
	System   string // of the OpenTelemetry semantic conventions
	Facet    providers.FacetDescription

	lost atomic.Pointer[providers.Error] // a requirement that no longer holds
	stop context.CancelFunc
	done chan struct{} // closed when the watching goroutine has ended
}

// Open checks that p offers the facet and that the requirements hold. While
// the handle is open, requirements are checked anew with every change of the
// provider's description.
func Open(ctx context.Context, p providers.Provider, f providers.Facet, reqs []providers.Requirement) (*Handle, error) {
	if p == nil {
		return nil, providers.Errorf(providers.Invalid, "the provider is nil; open one with providers.Open")
	}
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	h := &Handle{Provider: d.Provider, System: d.System, stop: func() {}}
	if h.Facet, err = check(d, f, reqs); err != nil {
		return nil, providers.Annotate(err, "", d.Provider)
	}
	if len(reqs) > 0 {
		h.watch(p, d.Generation, f, reqs)
	}
	return h, nil
}

func check(d providers.Description, f providers.Facet, reqs []providers.Requirement) (providers.FacetDescription, error) {
	fd, ok := d.Facet(f)
	if !ok {
		return fd, providers.Errorf(providers.Unsupported, "this provider does not offer the facet %s", f)
	}
	return fd, providers.CheckAll(fd, reqs)
}

func (h *Handle) watch(p providers.Provider, generation uint64, f providers.Facet, reqs []providers.Requirement) {
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
			lost, _ := err.(*providers.Error)
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
func (h *Handle) Needs(c providers.Claim) error {
	if m, lacks := c.Check(h.Facet); lacks {
		return providers.Errorf(providers.Unsupported, "%s", m)
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
	return providers.Errorf(providers.Invalid,
		"the %s name %q is not accepted; use 1 to 128 of A–Z a–z 0–9 . _ -, the first a letter or digit", what, name)
}
