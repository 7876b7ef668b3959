package redis

import (
	"context"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/kv/driver"
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
		for {
			if next, err := s.sweep(ctx); err != nil || next != 0 {
				break
			}
		}
	}
}

// registry is the set of the names of all stores.
func (p *provider) registry() string { return p.prefix + ":kv-stores" }

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := p.newStore(c.Name)
	if err := s.create(ctx); err != nil {
		return nil, err
	}
	p.stores.add(s)
	return s, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	cmd := goredis.NewStringSliceCmd(ctx, "smembers", p.registry())
	if err := p.read(ctx, p.registry(), cmd); err != nil {
		return nil, err
	}
	var names []string
	for _, n := range cmd.Val() {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// deletedAtOnce is how many keys one call deletes, so that the server serves
// others in between.
const deletedAtOnce = 1000

// DeleteStore implements the kv driver's Provider. The name goes last: after a
// failure, the store is still listed and can be deleted again.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	s := p.newStore(name)
	for gone := false; !gone; {
		cmd := kvDelete.call(ctx, s.logKeys(), s.slots, deletedAtOnce)
		if err := p.change(ctx, s.log, cmd); err != nil {
			return err
		}
		n, err := cmd.Int()
		if err != nil {
			return unexpected(err)
		}
		gone = n == 1
	}
	return p.change(ctx, p.registry(), goredis.NewIntCmd(ctx, "srem", p.registry(), name))
}

// read sends one command that changes nothing, or nothing that anybody sees
// and that may be repeated without harm.
func (p *provider) read(ctx context.Context, key string, cmd goredis.Cmder) error {
	if err := p.do(ctx, key, cmd); err != nil {
		return err
	}
	return mapCallErr(ctx, cmd.Err(), false)
}

// change sends one command that deletes.
func (p *provider) change(ctx context.Context, key string, cmd goredis.Cmder) error {
	if err := p.do(ctx, key, cmd); err != nil {
		return err
	}
	return mapErr(cmd.Err(), true)
}

// milliseconds rounds up: a time to live never ends early.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
