package lock

import (
	"math/rand/v2"
	"time"
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/kv"
)

const (
	defaultTTL  = 15 * time.Second
	shortestTTL = 100 * time.Millisecond // a shorter lease is lost to scheduling
	longestPoll = time.Second
)

// Option changes how [New] and [NewElection] make a lock.
type Option func(*settings) error

type settings struct{ ttl, poll time.Duration }

// TTL sets how long a lease lasts without renewal: other programs wait that long
// after a holder has died. The default is 15 s. The minimum is 100 ms, or the
// store's MinTTL if that is longer; the maximum is the store's MaxTTL. Choose a TTL longer than a restart of the
// backend takes: a shorter one loses leases.
func TTL(d time.Duration) Option {
	return func(s *settings) error {
		if d < shortestTTL {
			return fairlead.Errorf(fairlead.Invalid, "the TTL is %v; the minimum is %v", d, shortestTTL)
		}
		s.ttl = d
		return nil
	}
}

// PollInterval sets how often a waiter reads whether the lock is free, plus or
// minus a fifth. The default is a quarter of the TTL, at most a second. Where the
// store claims Watch, polling is only a fallback.
func PollInterval(d time.Duration) Option {
	return func(s *settings) error {
		if d < time.Millisecond || d > fairlead.MaxDuration {
			return fairlead.Errorf(fairlead.Invalid, "the PollInterval is %v; it must be from 1ms to %v", d, fairlead.MaxDuration)
		}
		s.poll = d
		return nil
	}
}

func newSettings(store *kv.Store, opts []Option) (settings, error) {
	s := settings{ttl: defaultTTL}
	for i, opt := range opts {
		if opt == nil {
			return s, handle.NilOption("the lock", i)
		}
		if err := opt(&s); err != nil {
			return s, err
		}
	}
	if s.poll == 0 {
		s.poll = min(s.ttl/4, longestPoll)
	}
	facet := store.Describe()
	if least := facet.Limits.MinTTL; s.ttl < least {
		return s, fairlead.Errorf(fairlead.Invalid, "the TTL is %v; the minimum of this store is %v", s.ttl, least)
	}
	if longest := handle.LongestDuration(facet.Limits.MaxTTL); s.ttl > longest {
		return s, fairlead.Errorf(fairlead.Invalid, "the TTL is %v; the maximum of this store is %v", s.ttl, longest)
	}
	return s, fairlead.CheckRequirements(facet, []fairlead.Requirement{kv.CAS, kv.TTL})
}

// jittered returns the poll interval plus or minus a fifth, so that waiters for
// the same lock do not read at the same moment.
func (s settings) jittered() time.Duration {
	return time.Duration(float64(s.poll) * (0.8 + 0.4*rand.Float64()))
}

func checkName(store *kv.Store, name string) error {
	limit := store.Describe().Limits.MaxKeyBytes - len(holderSuffix)
	switch {
	case name == "":
		return fairlead.Errorf(fairlead.Invalid, "the lock's name is empty; it has 1 to %d bytes", limit)
	case len(name) > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the lock's name has %d bytes, the limit is %d", len(name), limit)
	case !utf8.ValidString(name):
		return fairlead.Errorf(fairlead.Invalid, "the lock's name %q is not valid UTF-8", name)
	}
	return nil
}
