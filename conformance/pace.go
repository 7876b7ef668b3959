package conformance

import (
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/intercept"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// Pace is what the time limits of a run follow from. A slow backend conforms, so they
// grow with the time that a call takes:
//
//	time of a case = its own × (min(10, 1 + RoundTrip/20ms) + Slot/10ms)
//	patience       = its own × min(3, 1 + RoundTrip/20ms) + 100 × Slot
//
// where Slot is 0 without [WithMaxRate], and otherwise the time between two calls of
// one of the cases that run at once: WithParallel / WithMaxRate seconds. A round trip
// below a millisecond changes nothing.
type Pace struct {
	// RoundTrip is the median time of some cheap calls at the beginning of the run, in
	// nanoseconds; 0 if none could be made.
	RoundTrip time.Duration `json:"round_trip_ns"`
	// MaxRate is the greatest number of calls in a second; 0 for no bound.
	MaxRate int `json:"max_rate,omitempty"`
	// CaseTime is how long a case may take that has no time limit of its own, in
	// nanoseconds; UsualCaseTime is what it is if calls take no time.
	CaseTime      time.Duration `json:"case_time_ns"`
	UsualCaseTime time.Duration `json:"usual_case_time_ns"`
	// Patience is how long a case waits for something that must come, in nanoseconds.
	Patience time.Duration `json:"patience_ns"`
	// Factor is by how much the time of each case is multiplied.
	Factor float64 `json:"factor"`

	soon time.Duration
	wait time.Duration // for the turns of calls
}

// The constants of the formulas of [Pace].
const (
	measuredCalls   = 20
	measuringTime   = 5 * time.Second // bounds the measurement
	roundTripUnit   = 20 * time.Millisecond
	slotUnit        = 10 * time.Millisecond
	maxTimeFactor   = 10
	maxWaitFactor   = 3
	callsOfPatience = 100
	usualSoon       = 10 * time.Second
)

// newPace derives the time limits.
func newPace(roundTrip time.Duration, o options) Pace {
	p := Pace{RoundTrip: roundTrip, MaxRate: o.maxRate, UsualCaseTime: suite.DefaultTimeout}
	var slot time.Duration
	if o.maxRate > 0 {
		slot = time.Duration(o.parallel) * time.Second / time.Duration(o.maxRate)
	}
	slow := 1.0
	if roundTrip >= time.Millisecond {
		slow += float64(roundTrip) / float64(roundTripUnit)
	}
	p.Factor = min(maxTimeFactor, slow) + float64(slot)/float64(slotUnit)
	p.wait = callsOfPatience * slot
	p.CaseTime = p.extend(suite.DefaultTimeout)
	wait := min(maxWaitFactor, slow)
	p.Patience = time.Duration(wait*float64(o.patience)) + p.wait
	p.soon = time.Duration(wait*float64(usualSoon)) + p.wait
	return p
}

// extend returns how long a case may take whose own limit is d.
func (p Pace) extend(d time.Duration) time.Duration { return time.Duration(p.Factor * float64(d)) }

// measureRoundTrip returns the median time of some cheap calls; 0 if none could be made.
// It uses the first of the given facets that has one.
func (r *run) measureRoundTrip(ctx context.Context, facets []fairlead.Facet) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, measuringTime)
	defer cancel()
	for _, f := range []fairlead.Facet{fairlead.KV, fairlead.Config, fairlead.PubSub} {
		if _, offered := suite.FacetOf(r.description, f); offered && slices.Contains(facets, f) {
			return r.measureFacet(ctx, f)
		}
	}
	return 0
}

func (r *run) measureFacet(ctx context.Context, f fairlead.Facet) time.Duration {
	name := r.prefix + "round-trip"
	switch f {
	case fairlead.KV:
		if s, err := kv.Open(ctx, r.provider, name); err == nil {
			defer s.Close(context.WithoutCancel(ctx))
			return r.medianTime(ctx, func() error { _, err := s.Get(ctx, "k"); return err }, fairlead.NotFound)
		}
	case fairlead.Config:
		if s, err := config.Open(ctx, r.provider, name); err == nil {
			defer s.Close(context.WithoutCancel(ctx))
			return r.medianTime(ctx, func() error { _, err := s.Snapshot(ctx); return err })
		}
	default:
		return r.medianTime(ctx, func() error {
			t, err := pubsub.Open(ctx, r.provider, name)
			if err == nil {
				err = t.Close(ctx)
			}
			return err
		})
	}
	return 0
}

// medianTime calls f a few times, until ctx ends or f fails, and returns the median of
// the times. An error with one of the given codes is an answer. The calls do not wait for
// their turn: before each, nothing is sent for as long as that takes.
func (r *run) medianTime(ctx context.Context, f func() error, answers ...fairlead.Code) time.Duration {
	var times []time.Duration
	for len(times) < measuredCalls && ctx.Err() == nil {
		if r.options.maxRate > 0 {
			wait(ctx, callInterval(r.options.maxRate))
		}
		began := time.Now()
		if err := f(); err != nil && !slices.Contains(answers, fairlead.CodeOf(err)) {
			break
		}
		times = append(times, time.Since(began))
	}
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// callInterval is the time between two calls of n in a second. The microsecond outweighs
// what is lost in rounding.
func callInterval(n int) time.Duration { return time.Second/time.Duration(n) + time.Microsecond }

// limitRate returns a hook that lets at most n calls pass in any second, evenly spread.
func limitRate(n int) func(context.Context, *intercept.Call) error {
	limiter := rate.NewLimiter(rate.Every(callInterval(n)), 1)
	return func(ctx context.Context, _ *intercept.Call) error { return waitForTurn(ctx, limiter) }
}

// waitForTurn waits until the limiter lets one more call pass, or ctx ends. Unlike
// [rate.Limiter.Wait], it does not fail before ctx ends. A turn that is given up is not
// given back, because the limiter would then let calls pass too early.
func waitForTurn(ctx context.Context, limiter *rate.Limiter) error {
	if wait(ctx, limiter.Reserve().Delay()) {
		return nil
	}
	return fairlead.ContextError(ctx)
}

// wait waits for d, and reports whether ctx had not ended by then.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
