package redis

import (
	"context"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// store is a handle of a store. All keys of a store are in one hash slot.
type store struct {
	p    *provider
	name string

	log, index, deadlines, fence string // keys
	valuePrefix                  string // of the keys of the values

	// knownRevision is a revision that the store is known to have reached.
	knownRevision atomic.Pointer[string]

	life context.Context // ends with Close, or with the provider
	end  context.CancelFunc
}

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := p.newStore(c.Name)
	if err := s.createIfMissing(ctx); err != nil {
		return nil, err
	}
	p.stores.add(s)
	return s, nil
}

func (p *provider) newStore(name string) *store {
	base := p.prefix + ":kv:{" + name + "}:"
	s := &store{p: p, name: name, log: base + "log", index: base + "index",
		deadlines: base + "deadlines", fence: base + "fence", valuePrefix: base + "k:"}
	s.life, s.end = context.WithCancel(p.life)
	return s
}

func (s *store) valueKey(key string) string { return s.valuePrefix + key }

// logKeys are the keys that most scripts take first.
func (s *store) logKeys() []string { return []string{s.log, s.index, s.deadlines} }

// createIfMissing registers the store's name, and creates its log if there is
// none.
func (s *store) createIfMissing(ctx context.Context) error {
	names := s.p.storeNamesKey()
	if _, err := s.p.query(ctx, names, goredis.NewCmd(ctx, "sadd", names, s.name)); err != nil {
		return err
	}
	reply, err := s.p.query(ctx, s.log, kvCreate.command(ctx, []string{s.log}))
	if err != nil {
		return err
	}
	revision, ok := reply.(string)
	if !ok {
		return unexpectedReply(reply)
	}
	s.noteRevision(revision)
	return nil
}

// noteRevision remembers that the store has reached a revision.
func (s *store) noteRevision(revision string) { s.knownRevision.Store(&revision) }

// sweepExpired records in the log which keys have expired. It returns how long
// no other key expires: 0 if there is more to sweep, a negative duration if no
// key has a time to live.
func (s *store) sweepExpired(ctx context.Context) (time.Duration, error) {
	const keysPerCall = 200
	reply, err := s.p.query(ctx, s.log,
		kvSweep.command(ctx, s.logKeys(), s.p.config.history, s.valuePrefix, keysPerCall))
	if err != nil {
		return 0, err
	}
	ms, ok := reply.(int64)
	if !ok {
		return 0, unexpectedReply(reply)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.p.stores.remove(s)
	s.end()
	return nil
}

// closedError is nil while the handle is open.
func (s *store) closedError() error {
	if s.life.Err() == nil {
		return nil
	}
	return fairlead.Errorf(fairlead.Closed, "the store's handle is closed")
}
