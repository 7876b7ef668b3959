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
// does not tell, so it compares two counters of each member: writes to the log,
// and fsyncs of it. A member with --unsafe-no-fsync writes without fsync.
type prober struct {
	config config

	mu       sync.Mutex
	verdicts map[uint64]verdict // by member

	// What the probes, which run one at a time, have learned.
	minTTL time.Duration // of a lease; 0: not known yet
	txnOps atomic.Int64
}

// verdict is what is known about one member.
type verdict struct {
	last     sample
	unsynced int // how often in a row the writes grew and the fsyncs did not
	known    bool
	fsyncs   bool
}

// refutedAfter is how often writes must grow without an fsync until a member counts
// as one that does not fsync. Between a write and its fsync, which may take long,
// every member looks like that. But a member that waits for its fsync writes no
// more until it ends.
const refutedAfter = 3

func newProber(c config) *prober {
	return &prober{config: c, verdicts: map[uint64]verdict{}}
}

// sampleMembers samples all endpoints, and compares the samples with the ones
// before. Several URLs may reach one member. failures are by URL.
func (p *prober) sampleMembers(ctx context.Context, urls []string) (samples map[uint64]sample, failures []string) {
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

// learn compares a sample with the previous one. Counters that shrank belong to a
// process that was restarted: nothing is known about it.
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

// verdictOf returns the verdict on a member.
func (p *prober) verdictOf(member uint64) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdicts[member]
}

// settled reports whether the verdict on each sampled member is known.
func (p *prober) settled(samples map[uint64]sample) bool {
	for id := range samples {
		if !p.verdictOf(id).known {
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

// awaitVerdicts samples the members, and makes each of them write to its log,
// until the verdict on every member that can be sampled is known.
func (p *prober) awaitVerdicts(ctx context.Context, urls []string, write func(context.Context) error) (samples map[uint64]sample, failures []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	samples, failures = p.sampleMembers(ctx, urls)
	for n := 0; !p.settled(samples); n++ {
		if n%writeEvery == 0 {
			if err := write(ctx); err != nil {
				return samples, failures, err
			}
		}
		if !providers.Pause(ctx, settlePause) {
			return samples, failures, nil
		}
		if again, _ := p.sampleMembers(ctx, urls); len(again) > 0 {
			samples = again
		}
	}
	return samples, failures, nil
}
