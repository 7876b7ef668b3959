package etcd

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev/providers"
)

// prober finds out whether the members of the cluster fsync their logs. The API
// does not tell, so it looks at two counters of each member: writes to the log,
// and fsyncs of it. A member with --unsafe-no-fsync writes and does not fsync.
type prober struct {
	config config

	mu       sync.Mutex
	verdicts map[uint64]verdict // by member

	// What the probes, which run one at a time, have learned.
	minTTL time.Duration // of a lease; 0: not known yet
	txnOps atomic.Int64
}

// verdict is what is known of one member.
type verdict struct {
	last     sample
	unsynced int // how often in a row writes were seen to grow, and fsyncs not
	known    bool
	fsyncs   bool
}

// refutedAfter is how often writes have to grow without an fsync until a member
// counts as one that does none: between a write and its fsync, which may take
// long, every member looks so. A member that waits for its fsync writes nothing
// more meanwhile.
const refutedAfter = 3

func newProber(c config) *prober {
	return &prober{config: c, verdicts: map[uint64]verdict{}}
}

// look samples all endpoints, and learns from what has changed since it last
// did. Several URLs may reach one member. failures are by URL.
func (p *prober) look(ctx context.Context, urls []string) (samples map[uint64]sample, failures []string) {
	ctx, cancel := context.WithTimeout(ctx, p.config.requestTimeout/metricsTimeoutDivisor)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	samples = map[uint64]sample{}
	for _, u := range urls {
		wg.Go(func() {
			s, err := fetchSample(ctx, p.config.tls, u)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, fmt.Sprint(err))
				return
			}
			samples[s.member] = s
		})
	}
	wg.Wait()
	slices.Sort(failures)
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, s := range samples {
		p.verdicts[id] = p.verdicts[id].learn(s)
	}
	return samples, failures
}

// learn compares a sample with the one before. Counters that shrank belong to a
// process that was started anew: nothing is known of that.
func (v verdict) learn(s sample) verdict {
	switch {
	case v.last.member == 0, s.fsyncs < v.last.fsyncs, s.writes < v.last.writes:
		return verdict{last: s}
	case s.fsyncs > v.last.fsyncs:
		return verdict{last: s, known: true, fsyncs: true}
	case s.writes > v.last.writes && v.unsynced+1 < refutedAfter:
		v.last, v.unsynced = s, v.unsynced+1
		return v
	case s.writes > v.last.writes:
		return verdict{last: s, unsynced: v.unsynced, known: true}
	default:
		return v
	}
}

// of returns the verdict on a member.
func (p *prober) of(member uint64) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdicts[member]
}

// settled reports whether the verdict on each sampled member is known.
func (p *prober) settled(samples map[uint64]sample) bool {
	for id := range samples {
		if !p.of(id).known {
			return false
		}
	}
	return true
}

const (
	settleTime  = 3 * time.Second // for a write to reach the log of every member
	settlePause = 20 * time.Millisecond
	writeEvery  = 3 // looks
)

// settle looks, and makes every member write to its log, until all that can be
// sampled have been caught at it.
func (p *prober) settle(ctx context.Context, urls []string, write func(context.Context) error) (samples map[uint64]sample, failures []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	samples, failures = p.look(ctx, urls)
	for n := 0; !p.settled(samples); n++ {
		if n%writeEvery == 0 {
			if err := write(ctx); err != nil {
				return samples, failures, err
			}
		}
		if !providers.Pause(ctx, settlePause) {
			return samples, failures, nil
		}
		if again, _ := p.look(ctx, urls); len(again) > 0 {
			samples = again
		}
	}
	return samples, failures, nil
}
