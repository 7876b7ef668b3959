package conformance

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/intercept"
	_ "fairlead.dev/providers/memory"
)

// clockedMemory opens memory providers each of whose calls takes a time, and counts
// when they begin.
type clockedMemory struct {
	latency time.Duration

	mu    sync.Mutex
	times []time.Time
}

func (m *clockedMemory) open(ctx context.Context) (fairlead.Provider, error) {
	return fairlead.Open(ctx, "mem://clocked")
}

// before counts a call.
func (m *clockedMemory) before(context.Context, *intercept.Call) error {
	m.mu.Lock()
	m.times = append(m.times, time.Now())
	m.mu.Unlock()
	time.Sleep(m.latency)
	return nil
}

func (m *clockedMemory) run(t *testing.T, opts ...Option) *Report {
	t.Helper()
	r, err := Run(t.Context(), intercept.Opener(m.open, intercept.Hooks{Before: m.before}), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMaxRate runs the quick profile of three facets at a low rate, in fake time: no
// second has more calls than the rate, and no case fails for want of time.
func TestMaxRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		var m clockedMemory
		r := m.run(t, WithMaxRate(n), WithProfile(Quick), WithFacets(fairlead.KV, fairlead.PubSub, fairlead.Config))
		wantConforms(t, r)
		for i := n; i < len(m.times); i++ {
			if d := m.times[i].Sub(m.times[i-n]); d < time.Second {
				t.Fatalf("the calls %d to %d began within %v", i-n, i, d)
			}
		}
		if p := r.Pace; p.MaxRate != n || p.RoundTrip != 0 || p.CaseTime < 20*time.Minute {
			t.Errorf("%+v", p)
		}
	})
}

// TestSlowCalls: cases get more time where calls take long.
func TestSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := (&clockedMemory{latency: 300 * time.Millisecond}).run(t, WithProfile(Quick), WithFacets(fairlead.KV, fairlead.PubSub, fairlead.Config))
		wantConforms(t, r)
		if p := r.Pace; p.RoundTrip != 300*time.Millisecond || p.CaseTime != 10*time.Minute || p.Patience != time.Minute {
			t.Errorf("%+v", p)
		}
	})
}

func wantConforms(t *testing.T, r *Report) {
	t.Helper()
	if r.Conclusion == Conforms {
		return
	}
	t.Error(r.Because)
	for _, res := range r.Results {
		if res.Bad() || res.Outcome == CouldNotRun {
			t.Error(res.Case, res.Outcome, res.Reason, res.Failures)
		}
	}
}

// TestNewPace compares the time limits with their documentation.
func TestNewPace(t *testing.T) {
	for _, c := range []struct {
		roundTrip       time.Duration
		opts            []Option
		caseTime, await time.Duration
	}{
		{0, nil, time.Minute, DefaultPatience},
		{999 * time.Microsecond, nil, time.Minute, DefaultPatience},
		{40 * time.Millisecond, nil, 3 * time.Minute, 3 * DefaultPatience},
		{time.Hour, nil, 10 * time.Minute, 3 * DefaultPatience},
		{0, []Option{WithMaxRate(50), WithParallel(4)}, 9 * time.Minute, DefaultPatience + 8*time.Second},
		{20 * time.Millisecond, []Option{WithPatience(time.Second)}, 2 * time.Minute, 2 * time.Second},
	} {
		if p := newPace(c.roundTrip, newOptions(c.opts)); p.CaseTime != c.caseTime || p.Patience != c.await {
			t.Errorf("round trip %v, rate %d: %v and %v, want %v and %v", c.roundTrip, p.MaxRate, p.CaseTime, p.Patience, c.caseTime, c.await)
		}
	}
}
