package redis

import (
	"context"
	"time"
)

// sweepExpired records in the log which keys have expired. It returns how long
// no other key expires: 0 if there is more to sweep, a negative duration if no
// key has a time to live.
func (s *store) sweepExpired(ctx context.Context) (time.Duration, error) {
	const keysPerCall = 200
	reply, err := s.p.query(ctx, s.keys.log,
		kvSweep.command(ctx, s.keys.logKeys(), s.p.config.history, s.keys.valuePrefix, keysPerCall))
	if err != nil {
		return 0, err
	}
	ms, ok := reply.(int64)
	if !ok {
		return 0, unexpectedReply(reply)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// sweepStores records what has expired in the open stores. A failure does no
// harm: Redis itself deletes the values, and the next sweep records it.
func (p *provider) sweepStores() {
	ctx, cancel := context.WithTimeout(p.life.Context(), probeTimeout)
	defer cancel()
	for _, s := range p.openStores() {
		for {
			if next, err := s.sweepExpired(ctx); err != nil || next != 0 {
				break
			}
		}
	}
}

// openStores returns one handle of each open store.
func (p *provider) openStores() map[string]*store {
	byName := map[string]*store{}
	for _, s := range p.stores.All() {
		byName[s.name] = s
	}
	return byName
}
