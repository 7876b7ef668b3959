package plugins

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/plugins/internal/process"
)

// none and all return the smallest and the largest random value.
func none(time.Duration) time.Duration  { return 0 }
func all(n time.Duration) time.Duration { return n - 1 }

// TestPauses shows that the pauses between starts double up to their bound, for
// any policy and any number of starts, and that half of each pause is random.
func TestPauses(t *testing.T) {
	const ms = time.Millisecond
	short := RestartPolicy{MinPause: 50 * ms, MaxPause: 10 * time.Second}
	long := RestartPolicy{MinPause: time.Minute, MaxPause: time.Hour}
	endless := RestartPolicy{MinPause: time.Hour, MaxPause: math.MaxInt64}
	for _, c := range []struct {
		policy RestartPolicy
		n      int
		want   time.Duration
	}{
		{short, 1, 50 * ms}, {short, 2, 100 * ms}, {short, 3, 200 * ms}, {short, 8, 6400 * ms},
		{short, 9, 10 * time.Second}, {short, 30, 10 * time.Second}, {short, 1000, 10 * time.Second},
		{long, 6, 32 * time.Minute}, {long, 7, time.Hour}, {long, 29, time.Hour}, {long, 64, time.Hour},
		{endless, 4, 8 * time.Hour}, {endless, 29, math.MaxInt64}, {endless, 100, math.MaxInt64},
		{RestartPolicy{MinPause: 7, MaxPause: 7}, 1, 7}, {RestartPolicy{MinPause: 7, MaxPause: 7}, 2, 7},
		{RestartPolicy{MinPause: 1, MaxPause: 1}, 1, 1},
	} {
		least, most := c.policy.pauseAfter(c.n, none), c.policy.pauseAfter(c.n, all)
		if least != c.want/2 || most != c.want/2*2 {
			t.Errorf("after %d starts from %v to %v: a pause of %v to %v, want %v to %v",
				c.n, c.policy.MinPause, c.policy.MaxPause, least, most, c.want/2, c.want)
		}
	}
}

// TestPausesAreSpread shows that plugins which end together do not start
// together: the pauses come from all four quarters of the random range.
func TestPausesAreSpread(t *testing.T) {
	p := RestartPolicy{MinPause: time.Second, MaxPause: time.Second}
	var quarters [4]int
	for range 1000 {
		pause := p.pauseAfter(1, rand.N[time.Duration])
		if pause < time.Second/2 || pause > time.Second {
			t.Fatalf("a pause of %v, want one of 500 ms to 1 s", pause)
		}
		quarters[min(int((pause-time.Second/2)*8/time.Second), 3)]++
	}
	for i, n := range quarters { // a quarter stays empty once in 10^125 runs
		if n == 0 {
			t.Errorf("no pause of 1,000 is in quarter %d: %v", i+1, quarters)
		}
	}
}

// TestSlowStartsEnd shows that a plugin which cannot be started is reported as
// failed, with the cause, however long its starts take.
func TestSlowStartsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		takes  time.Duration // one start
		err    error
		starts int
	}{
		"quick":        {time.Millisecond, &process.LaunchError{Name: "p", What: "the cause"}, 5},
		"slow":         {20 * time.Second, &process.LaunchError{Name: "p", What: "the cause"}, 5},
		"never ready":  {60 * time.Second, &process.LaunchError{Name: "p", What: "the cause", Err: context.DeadlineExceeded}, 1},
		"not allowed":  {time.Millisecond, fairlead.Errorf(fairlead.PermissionDenied, "the cause"), 1},
		"not anything": {40 * time.Second, errors.New("the cause"), 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				starts := 0
				o := defaultOptions()
				o.log = slog.New(slog.DiscardHandler)
				s := newSupervisor("p", &o, newMetrics(), func(ctx context.Context) (*process.Process, error) {
					starts++
					await.Pause(ctx, c.takes)
					return nil, c.err
				})
				s.acquire()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := s.awaitProcess(ctx)
				if starts != c.starts || ctx.Err() != nil || !strings.Contains(err.Error(), "the cause") {
					t.Errorf("after %d starts: %v, want %d starts and the cause", starts, err, c.starts)
				}
				s.stopRun(t.Context(), true)
			})
		})
	}
}
