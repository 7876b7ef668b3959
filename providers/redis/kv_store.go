package redis

import (
	"context"
	"regexp"
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
	log, index, deadlines, fence,
	slots string // what the names of the values' keys start with

	// seen is a revision that the store is known to have reached.
	seen atomic.Pointer[string]

	life context.Context // ends with Close, or the provider's
	end  context.CancelFunc
}

func (p *provider) newStore(name string) *store {
	base := p.prefix + ":kv:{" + name + "}:"
	s := &store{p: p, name: name, log: base + "log", index: base + "index",
		deadlines: base + "deadlines", fence: base + "fence", slots: base + "k:"}
	s.life, s.end = context.WithCancel(p.life)
	return s
}

func (s *store) slot(key string) string { return s.slots + key }

// logKeys are the keys that most scripts take first.
func (s *store) logKeys() []string { return []string{s.log, s.index, s.deadlines} }

// create registers the store and creates its log, if need be.
func (s *store) create(ctx context.Context) error {
	registry := s.p.registry()
	if err := s.p.read(ctx, registry, goredis.NewIntCmd(ctx, "sadd", registry, s.name)); err != nil {
		return err
	}
	cmd := kvCreate.call(ctx, []string{s.log})
	if err := s.p.read(ctx, s.log, cmd); err != nil {
		return err
	}
	rev, err := cmd.Text()
	if err != nil {
		return unexpected(err)
	}
	s.reached(rev)
	return nil
}

func (s *store) reached(revision string) { s.seen.Store(&revision) }

// sweep tells of what has expired, and returns how long nothing else will:
// 0 for more to be swept, a negative time for no key with a time to live.
func (s *store) sweep(ctx context.Context) (time.Duration, error) {
	const atOnce = 200
	cmd := kvSweep.call(ctx, s.logKeys(), s.p.config.history, s.slots, atOnce)
	if err := s.p.read(ctx, s.log, cmd); err != nil {
		return 0, err
	}
	ms, err := cmd.Int64()
	if err != nil {
		return 0, unexpected(err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.p.stores.remove(s)
	s.end()
	return nil
}

func (s *store) closed() error {
	if s.life.Err() == nil {
		return nil
	}
	return fairlead.Errorf(fairlead.Closed, "the store's handle is closed")
}

var revisionForm = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

func checkRevision(r driver.Revision) error {
	if revisionForm.MatchString(string(r)) {
		return nil
	}
	return invalid("%q is not a revision of a Redis store", r)
}

// kept takes apart what is stored under a key: see kv_common.lua.
func kept(s string) (value []byte, rev driver.Revision, err error) {
	for i := range len(s) {
		if c := s[i]; c == '.' || c == '!' {
			return []byte(s[i+1:]), driver.Revision(s[:i]), nil
		}
	}
	return nil, "", fairlead.Errorf(fairlead.Internal, "the key holds something that this provider did not write")
}
