package providers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"fairlead.dev"
)

// Live holds the present description of an open provider. A provider embeds
// it to get Describe and Await, calls Update whenever it has probed, and
// Shut when it closes. The zero value is not usable: see [NewLive].
//
// All methods may be called concurrently.
type Live struct {
	mu      sync.Mutex
	current fairlead.Description
	changed chan struct{} // closed and replaced at every change
	closed  bool
}

// NewLive returns a Live whose first description is d, as generation 1.
func NewLive(d fairlead.Description) *Live {
	d.Generation = 1
	return &Live{current: d, changed: make(chan struct{})}
}

// Format implements [fmt.Formatter] for the provider that embeds l: no verb prints its
// fields, which may hold credentials.
func (l *Live) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, l.text()) }

// LogValue implements [slog.LogValuer] for the provider that embeds l.
func (l *Live) LogValue() slog.Value { return slog.StringValue(l.text()) }

func (l *Live) text() string {
	if l == nil {
		return "provider that is not open"
	}
	d, _, err := l.state()
	if err != nil {
		return "closed provider"
	}
	return fmt.Sprintf("provider %s of %s", d.Provider, d.Endpoint)
}

// Update replaces the description if d differs from it, and reports whether
// it did. The generation of d is ignored.
func (l *Live) Update(d fairlead.Description) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Generation = l.current.Generation
	if l.closed || reflect.DeepEqual(d, l.current) {
		return false
	}
	d.Generation++
	l.current = d
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

// Announce is Update, and logs durability that was lost, or holds again, for the
// operator: one line for each claim, with its facets.
func (l *Live) Announce(d fairlead.Description, log *slog.Logger) {
	before, _, err := l.state()
	if err != nil || !l.Update(d) {
		return
	}
	for _, claim := range []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum} {
		where := []any{slog.String("endpoint", d.Endpoint), slog.String("claim", string(claim))}
		if lost, missing := losses(before, d, claim); len(lost) > 0 {
			log.Warn(d.Provider+": a guarantee was lost", append(where, slog.Any("facets", lost), slog.Any("missing", missing))...)
		}
		if gained, _ := losses(d, before, claim); len(gained) > 0 {
			log.Info(d.Provider+": a guarantee holds now", append(where, slog.Any("facets", gained))...)
		}
	}
}

// losses returns the facets that have a claim in before and not in after, and the
// reasons, each once.
func losses(before, after fairlead.Description, claim fairlead.Claim) (lost []fairlead.Facet, missing []string) {
	for _, f := range after.Facets {
		if old, _ := before.Facet(f.Facet); !old.Has(claim) || f.Has(claim) {
			continue
		}
		lost = append(lost, f.Facet)
		if m, _ := claim.Check(f); !slices.Contains(missing, m.String()) {
			missing = append(missing, m.String())
		}
	}
	return lost, missing
}

// Shut makes Describe and Await fail with Closed. It reports whether it is
// the first call.
func (l *Live) Shut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	close(l.changed)
	return true
}

// Describe implements [fairlead.Provider].
func (l *Live) Describe(context.Context) (fairlead.Description, error) {
	d, _, err := l.state()
	return d, err
}

// Await implements [fairlead.Provider].
func (l *Live) Await(ctx context.Context, generation uint64) (fairlead.Description, error) {
	for {
		d, changed, err := l.state()
		if err != nil || d.Generation != generation {
			return d, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fairlead.Description{}, fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "waiting for a change of the description: %w", ctx.Err())
		}
	}
}

func (l *Live) state() (fairlead.Description, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fairlead.Description{}, nil, fairlead.Errorf(fairlead.Closed, "the provider is closed")
	}
	return clone(l.current), l.changed, nil
}

// clone returns a copy that shares no slice with d.
func clone(d fairlead.Description) fairlead.Description {
	d.Notes = slices.Clone(d.Notes)
	d.Facets = slices.Clone(d.Facets)
	for i, f := range d.Facets {
		d.Facets[i].Claims = slices.Clone(f.Claims)
		d.Facets[i].Missing = slices.Clone(f.Missing)
	}
	return d
}
