package config

import (
	"errors"
	"sync"
	"time"
)

// Health says how a [Watcher] is doing. The receiver owns it.
type Health struct {
	Applied  uint64    // updates applied since the watcher began, the first reading not counted
	Rejected uint64    // updates rejected
	Changed  time.Time // when the present settings were applied
	Layers   []LayerHealth
}

// LayerHealth says how one layer is doing.
type LayerHealth struct {
	Layer string // as "redis \"app\"" or "file app.yaml"
	Live  bool   // whether the layer is followed
	// Unreachable is why the layer cannot be followed now, nil if it can.
	// Since is when that began.
	Unreachable error
	Since       time.Time
	// Rejected is why the layer's present content is not applied, nil if it
	// is.
	Rejected error
}

// Err returns all that is wrong, or nil.
func (h Health) Err() error {
	var all []error
	for _, l := range h.Layers {
		all = append(all, l.Unreachable, l.Rejected)
	}
	return errors.Join(all...)
}

// healthBoard is a Health that several goroutines keep.
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

func (b *healthBoard) read() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.now
	h.Layers = append([]LayerHealth(nil), h.Layers...)
	return h
}

// reach notes whether a layer can be reached, and reports whether it has just
// become unreachable.
func (b *healthBoard) reach(layer int, err error) (began bool) {
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

func (b *healthBoard) reject(layer int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Layers[layer].Rejected = err
	b.now.Rejected++
}

// apply notes that the content of these layers is applied, and whether that
// changed the settings.
func (b *healthBoard) apply(layers []int, changed bool) {
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
