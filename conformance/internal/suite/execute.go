package suite

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"fairlead.dev"
)

// Backend kills and starts the backend under test.
type Backend interface {
	Kill(ctx context.Context) error
	Start(ctx context.Context) error
}

// Filler fills the backend under test, and gives it space again.
type Filler interface {
	Fill(ctx context.Context) error
	Free(ctx context.Context) error
}

// Operator does what people and other programs do to a backend, with its own tools.
type Operator interface {
	PurgeTopic(ctx context.Context, topic string) error
	InsertMessage(ctx context.Context, topic string) error
	ReplaceValue(ctx context.Context, store, key string) error
}

// Env has the values that all cases of a run share.
type Env struct {
	Open        func(ctx context.Context) (fairlead.Provider, error)
	Provider    fairlead.Provider
	Description fairlead.Description
	Patience    time.Duration                     // how long a case waits for something that must come
	Soon        time.Duration                     // how long a call may take that has nothing to wait for; at most Patience
	Wait        time.Duration                     // how long calls may wait for their turn, because the rate of calls is bounded
	Extend      func(time.Duration) time.Duration // of a case's time limit, because calls take long; nil for none
	Backend     Backend                           // nil if the run does not control the backend
	Filler      Filler                            // nil if the run cannot fill the backend
	Operator    Operator                          // nil if the run has none
	Prefix      string                            // begins every name that the run makes
	Log         func(line string)                 // gets the log lines of a case while it runs; may be nil
}

// Outcome is how a case ended.
type Outcome struct {
	Failures    []string // assertions that failed
	Logs        []string
	Hung        bool   // the case had not returned some seconds after its deadline
	Blocked     string // why the case could not run; it has no failures then
	Interrupted bool   // the run was given up while the case ran; it has no failures then
	Kills       int    // how often the case killed the backend
	// Acknowledged is how many acknowledged writes the case looked for after that.
	Acknowledged int
}

// Grace is how long a case may take to end after its deadline before it counts
// as hung, if calls need not wait for their turn; see Env.Wait.
const Grace = 3 * time.Second

// Execute runs one case to its end, and its cleanups.
func (e *Env) Execute(ctx context.Context, c Case) Outcome {
	run := ctx
	limit := e.limitOf(c)
	ctx, cancel := context.WithTimeout(run, limit)
	defer cancel()
	t := &T{env: e, c: c, limit: limit, run: run, ctx: ctx, name: e.Prefix + NameOf(c), lastStep: time.Now()}
	done := make(chan struct{})
	go t.call(done)
	hung := !endsInTime(ctx, done, Grace+e.Wait)
	cleaning, stop := context.WithTimeout(context.WithoutCancel(ctx), Grace+e.Wait)
	defer stop()
	if !hung {
		t.clean(cleaning)
	}
	return t.outcome(hung)
}

// limitOf returns how long a case may take in this run.
func (e *Env) limitOf(c Case) time.Duration {
	if e.Extend == nil {
		return c.Deadline()
	}
	return e.Extend(c.Deadline())
}

// endsInTime waits until done is closed, for no longer than grace after ctx
// has ended.
func endsInTime(ctx context.Context, done <-chan struct{}, grace time.Duration) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-time.After(grace):
		return false
	}
}

// call runs the function of the case; a panic is a failure.
func (t *T) call(done chan<- struct{}) {
	defer close(done)
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("panic: %v", v)
			t.Logf("%s", debug.Stack())
		}
	}()
	t.c.Run(t)
}

// clean runs the cleanups, the last one first.
func (t *T) clean(ctx context.Context) {
	t.mu.Lock()
	cleanups := slices.Clone(t.cleanups)
	t.mu.Unlock()
	for _, f := range slices.Backward(cleanups) {
		if err := f(ctx); err != nil {
			t.Logf("cleaning up: %v", err)
		}
	}
}

func (t *T) outcome(hung bool) Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	o := Outcome{Failures: slices.Clone(t.failures), Kills: t.kills, Acknowledged: t.acknowledged}
	switch {
	case len(o.Failures) == 0 && fairlead.ContextError(t.run) != nil:
		o.Interrupted = true
	case len(o.Failures) == 0 && t.blocked != "":
		o.Blocked = t.blocked
	case hung:
		o.Hung = true
		o.Failures = append(o.Failures, fmt.Sprintf("still running %v after its deadline of %v", Grace+t.env.Wait, t.limit.Round(time.Millisecond)))
	}
	if len(o.Failures) > 0 || o.Blocked != "" {
		o.Logs = slices.Clone(t.logs)
	}
	return o
}

// NameOf makes a part of a store's or topic's name from a case's name.
func NameOf(c Case) string {
	return strings.NewReplacer("/", "-", "_", "-").Replace(c.Name)
}
