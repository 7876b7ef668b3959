package redis

import (
	"context"
	"sync"
)

// stores are the open handles of a provider.
type stores struct {
	mu   sync.Mutex
	open map[*store]struct{}
}

func (s *stores) init() { s.open = map[*store]struct{}{} }

func (s *stores) add(st *store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[st] = struct{}{}
}

func (s *stores) remove(st *store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
}

// byName returns one handle of each open store.
func (s *stores) byName() map[string]*store {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]*store{}
	for st := range s.open {
		names[st.name] = st
	}
	return names
}

// sweepStores lets go of what has expired in the open stores. A failure is no
// matter: the values are gone by themselves, and the next sweep tells of them.
func (p *provider) sweepStores() {
	ctx, cancel := context.WithTimeout(p.life, probeTimeout)
	defer cancel()
	for _, s := range p.stores.byName() {
		_, _ = s.sweep(ctx)
	}
}
