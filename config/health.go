package config

import (
	"errors"
	"sync"
	"time"
)

// Health is the state of a [Watcher]. The receiver owns it.
type Health struct {
	Applied  uint64    // updates applied, not counting the first reading
	Rejected uint64    // updates rejected
	Changed  time.Time // when the present settings were applied
	Layers   []LayerHealth
}

// LayerHealth is the state of one layer.
type LayerHealth struct {
	Layer string // for example `redis "app"` or "file app.yaml"
	Live  bool   // the layer is followed
	// Unreachable is why the layer cannot be reached at present; nil if it can.
	// Since is when it became unreachable.
	Unreachable error
	Since       time.Time
	// Rejected is why the layer's present content is not applied; nil if it is
	// applied.
	Rejected error
}

// Err returns everything that is wrong, or nil.
func (h Health) Err() error {
	var all []error
	for _, l := range h.Layers {
		all = append(all, l.Unreachable, l.Rejected)
	}
	return errors.Join(all...)
}

// healthBoard is a Health that several goroutines update.
type healthBoard struct {
	mu  sync.Mutex
	now Health
}

func newHealthBoard(layers []*openLayer) *healthBoard {
	b := &healthBoard{now: Health{Changed: time.Now()}}
	for _, l := range layers {
		b.now.Layers = append(b.now.Layers, LayerHealth{Layer: l.feed.name(), Live: l.feed.live()})
	}
	return b
}

func (b *healthBoard) copy() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.now
	h.Layers = append([]LayerHealth(nil), h.Layers...)
	return h
}

// setReachable records whether a layer can be reached (err is nil), and reports
// whether it has just become unreachable.
func (b *healthBoard) setReachable(layer int, err error) (began bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.now.Layers[layer]
	began = err != nil && l.Unreachable == nil
	if began {
		l.Since = time.Now()
	}
	if err == nil {
		l.Since = time.Time{}
	}
	l.Unreachable = err
	return began
}

func (b *healthBoard) recordRejected(layer int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Layers[layer].Rejected = err
	b.now.Rejected++
}

// recordApplied records that the contents of these layers are applied, and
// whether that changed the settings.
func (b *healthBoard) recordApplied(layers []int, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range layers {
		b.now.Layers[i].Rejected = nil
	}
	b.now.Applied++
	if changed {
		b.now.Changed = time.Now()
	}
}
