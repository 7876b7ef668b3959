package conformance_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// hands are the control, the filler and the operator of a backend that do what a
// test says. Each method is nil for success.
type hands struct{ kill, start, fill, operate func() error }

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (h hands) Kill(context.Context) error                        { return call(h.kill) }
func (h hands) Start(context.Context) error                       { return call(h.start) }
func (h hands) Fill(context.Context) error                        { return call(h.fill) }
func (h hands) Free(context.Context) error                        { return nil }
func (h hands) PurgeTopic(context.Context, string) error          { return call(h.operate) }
func (h hands) InsertMessage(context.Context, string) error       { return call(h.operate) }
func (h hands) ReplaceValue(_ context.Context, _, _ string) error { return call(h.operate) }

func runCases(t *testing.T, ctx context.Context, open conformance.Opener, h hands, cases ...string) *conformance.Report {
	t.Helper()
	r, err := conformance.Run(ctx, open, conformance.WithCases(cases...), conformance.WithControl(h), conformance.WithFiller(h),
		conformance.WithOperator(h), conformance.WithPatience(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantConclusion(t *testing.T, r *conformance.Report, want conformance.Conclusion, because string) {
	t.Helper()
	if r.Conclusion != want || !strings.Contains(r.Because, because) || (r.Err() == nil) != (want == conformance.Conforms) {
		t.Errorf("%s because %q, want %s because %q; %v", r.Conclusion, r.Because, want, because, r.Err())
	}
	for _, c := range r.Claims {
		if c.Verdict == conformance.Refuted {
			t.Errorf("%s %s is refuted", c.Facet, c.Claim)
		}
	}
}

// TestCouldNotRun: what a case needs may fail without a fault of the provider.
func TestCouldNotRun(t *testing.T) {
	fails := func() error { return errors.New("no such unit") }
	for name, c := range map[string]struct {
		hands
		run, says string
	}{
		"kill":          {hands{kill: fails}, "kv/kill-ttl", "could not be killed: no such unit"},
		"alive":         {hands{}, "kv/kill-ttl", "still answers 400ms after it was killed: the kill did not end it"},
		"start":         {hands{start: fails}, "rpc/restart", "could not be started: no such unit"},
		"fill":          {hands{fill: fails}, "kv/full-refused", "could not be filled: no such unit"},
		"filled":        {hands{}, "kv/full-refused", "the fill command returned, and the backend still takes writes"},
		"filled topic":  {hands{}, "pubsub/full-refused", "the fill command returned, and the backend still takes writes"},
		"filled source": {hands{}, "config/full", "the fill command returned, and the backend still takes writes"},
		"inserted":      {hands{}, "pubsub/foreign-group", "changed nothing"},
		"purged":        {hands{}, "pubsub/purged-group", "removed nothing"},
		"replaced":      {hands{}, "kv/foreign-read", "changed nothing"},
		"operate":       {hands{operate: fails}, "kv/foreign-watch", "could not be changed by its own tools: no such unit"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runCases(t, t.Context(), openMemory, c.hands, c.run)
			wantConclusion(t, r, conformance.Undecided, "1 cases could not run: ["+c.run+"]")
			if res := r.Results[0]; res.Outcome != conformance.CouldNotRun || !strings.Contains(res.Reason, c.says) {
				t.Errorf("%s: %s", res.Outcome, res.Reason)
			}
		})
	}
}

// TestCouldNotRunBackendAway: a backend may refuse its users after a start, for
// example because the start command did not restore them.
func TestCouldNotRunBackendAway(t *testing.T) {
	var away atomic.Bool
	open := func(ctx context.Context) (fairlead.Provider, error) {
		if away.Load() {
			return nil, fairlead.Errorf(fairlead.PermissionDenied, "no such user")
		}
		return openMemory(ctx)
	}
	r := runCases(t, t.Context(), open, hands{start: func() error { away.Store(true); return nil }}, "rpc/restart")
	wantConclusion(t, r, conformance.Undecided, "could not run")
	if !strings.Contains(r.Results[0].Reason, "after its start, the backend cannot be opened: permission denied: no such user") {
		t.Error(r.Results[0].Reason)
	}
}

// TestInterruptedRun: a run that was given up refutes nothing.
func TestInterruptedRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := runCases(t, ctx, openMemory, hands{kill: func() error { cancel(); return ctx.Err() }}, "kv/kill-ttl", "rpc/restart", "kv/put-get")
	wantConclusion(t, r, conformance.Undecided, "interrupted after 1 cases, and none failed")
	if !r.Interrupted || r.Count(conformance.Passed) != 1 || r.Count(conformance.Interrupted) != 1 || r.Count(conformance.NotRun) != 1 {
		t.Errorf("%+v", r.Results)
	}
	for _, c := range r.Claims {
		if c.Facet == fairlead.KV && c.Claim == "kv.TTL" && !strings.Contains(c.Reason, "interrupted") {
			t.Errorf("kv.TTL: %s: %s", c.Verdict, c.Reason)
		}
	}
}

// TestNothingRan: a run without cases decides nothing.
func TestNothingRan(t *testing.T) {
	wantConclusion(t, runCases(t, t.Context(), openMemory, hands{}, "kv/no-such-case"), conformance.Undecided, "no case was selected")
	r, err := conformance.Run(t.Context(), openMemory, conformance.WithMatch(regexp.MustCompile("^kv/kill-ttl$")))
	if err != nil {
		t.Fatal(err)
	}
	wantConclusion(t, r, conformance.Undecided, "no case was run: kv/kill-ttl: needs control of the backend")
	wantConclusion(t, runCases(t, t.Context(), openMemory, hands{}, "kv/put-get"), conformance.Conforms, "")
}
