package failover

import (
	"context"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev/conformance"
)

// rounds is how often a case may be run. The contract allows a call to fail when
// a leader dies meanwhile, but a case accepts no failure.
const rounds = 6

// sample are the cases that are run without the flag -failover.full.
var sample = regexp.MustCompile("^(kv/(cas|create|txn|list|getmany)|pubsub/(publish|key|nack|group))")

// Suite runs the conformance suite while kill kills a leader at every interval.
// The interval is longer in each round, since some cases take longer. Each case
// must pass in one round: a case that a change of leaders breaks permanently
// never does.
func Suite(t *testing.T, open conformance.Opener, every time.Duration, kill func(ctx context.Context) error) {
	t.Helper()
	var between atomic.Int64
	between.Store(int64(every))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- killRepeatedly(ctx, t, &between, kill) }()
	selected := conformance.WithMatch(sample)
	if *full {
		selected = conformance.WithMatch(nil)
	}
	var left []string
	for round := 1; round <= rounds; round++ {
		between.Store(int64(every) * int64(round))
		failed, err := suiteRound(t, round, open, selected)
		if err != nil {
			t.Logf("round %d: %v", round, err) // no server could be opened
			continue
		}
		if left = failed; len(left) == 0 {
			break
		}
		selected = conformance.WithCases(left...)
	}
	cancel()
	t.Logf("%d servers were killed", <-ended)
	if len(left) > 0 {
		t.Errorf("these cases passed in none of %d rounds: %v", rounds, left)
	}
}

// killRepeatedly kills until ctx ends, and returns the number of kills.
func killRepeatedly(ctx context.Context, t *testing.T, between *atomic.Int64, kill func(ctx context.Context) error) (kills int) {
	for {
		select {
		case <-time.After(time.Duration(between.Load())):
		case <-ctx.Done():
			return kills
		}
		if err := kill(ctx); err != nil {
			if ctx.Err() == nil {
				t.Errorf("killing: %v", err)
			}
			return kills
		}
		kills++
	}
}

// suiteRound runs the selected cases, and returns the names of those that
// failed or could not run.
func suiteRound(t *testing.T, round int, open conformance.Opener, selected conformance.Option) (failed []string, err error) {
	began := time.Now()
	report, err := conformance.Run(t.Context(), open, conformance.WithTransport("leaders killed"), selected)
	if err != nil {
		return nil, err
	}
	ran := 0
	for _, r := range report.Results {
		if r.Ran() {
			ran++
		}
		if r.Bad() || r.Outcome == conformance.CouldNotRun {
			failed = append(failed, r.Case)
			t.Logf("%s: %s%.300q", r.Case, r.Reason, strings.Join(r.Failures, "; "))
		}
	}
	if ran == 0 && len(failed) == 0 {
		t.Errorf("no case was run")
	}
	t.Logf("round %d: %d of %d cases failed in %.0f s", round, len(failed), ran, time.Since(began).Seconds())
	return failed, nil
}
