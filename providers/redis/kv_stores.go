package redis

import (
	"context"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
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

// sweepStores records what has expired in the open stores. A failure does no
// harm: Redis itself deletes the values, and the next sweep records it.
func (p *provider) sweepStores() {
	ctx, cancel := context.WithTimeout(p.life, probeTimeout)
	defer cancel()
	for _, s := range p.stores.byName() {
		for {
			if next, err := s.sweepExpired(ctx); err != nil || next != 0 {
				break
			}
		}
	}
}

// storeNamesKey is the key of the set of the names of all stores.
func (p *provider) storeNamesKey() string { return p.prefix + ":kv-stores" }

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	reply, err := p.query(ctx, p.storeNamesKey(), goredis.NewCmd(ctx, "smembers", p.storeNamesKey()))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range asList(reply) {
		if name := asText(v); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, nil
}

// deletedPerCall is how many keys one call deletes, so that the server serves
// other clients between the calls.
const deletedPerCall = 1000

// DeleteStore implements the kv driver's Provider. The name is removed last:
// after a failure, the store is still listed and can be deleted again.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	s := p.newStore(name)
	defer s.end()
	for gone := false; !gone; {
		m := p.newMark()
		reply, err := p.write(ctx, m, s.log, kvDelete.command(ctx, s.logKeys(), s.valuePrefix, deletedPerCall, m))
		if err != nil {
			return err
		}
		n, ok := reply.(int64)
		if !ok {
			return unexpectedReply(reply)
		}
		gone = n == 1
	}
	m := &mark{text: name}
	_, err := p.write(ctx, m, p.storeNamesKey(), goredis.NewCmd(ctx, "srem", p.storeNamesKey(), m))
	return err
}
