package suite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
)

func execute(ctx context.Context, patience time.Duration, run func(*T)) Outcome {
	env := &Env{Patience: patience, Open: func(context.Context) (fairlead.Provider, error) {
		return nil, fairlead.Errorf(fairlead.PermissionDenied, "no such user")
	}}
	return env.Execute(ctx, Case{Name: "kv/x", Timeout: 20 * time.Millisecond, Run: run})
}

// waitForEnd is a call that returns when the time limit of the case has passed.
func waitForEnd(t *T) {
	<-t.Context().Done()
	t.Must(t.ctx.Err())
}

// TestTimeLimit: a case that was slow could not run, and a call that does not return
// within the patience of the run is a failure.
func TestTimeLimit(t *testing.T) {
	if o := execute(t.Context(), time.Hour, waitForEnd); len(o.Failures) > 0 || !strings.Contains(o.Blocked, "its time limit of 20ms passed") {
		t.Errorf("a slow case: %+v", o)
	}
	env := &Env{Patience: time.Hour, Extend: func(d time.Duration) time.Duration { return 2 * d }}
	if o := env.Execute(t.Context(), Case{Name: "kv/x", Timeout: 20 * time.Millisecond, Run: waitForEnd}); !strings.Contains(o.Blocked, "its time limit of 40ms passed") {
		t.Errorf("a slow case with more time: %+v", o)
	}
	if o := execute(t.Context(), time.Millisecond, waitForEnd); len(o.Failures) != 1 || o.Blocked != "" {
		t.Errorf("a call that does not return: %+v", o)
	}
	failed := execute(t.Context(), time.Hour, func(c *T) { c.Errorf("wrong"); waitForEnd(c) })
	if len(failed.Failures) == 0 || failed.Blocked != "" {
		t.Errorf("a slow case after a failed assertion: %+v", failed)
	}
}

// TestInterruptedCase: what fails when the run is given up is no failure, and what
// failed before it is one.
func TestInterruptedCase(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if o := execute(ctx, time.Millisecond, func(c *T) { cancel(); waitForEnd(c) }); !o.Interrupted || len(o.Failures) > 0 {
		t.Errorf("interrupted: %+v", o)
	}
	ctx, cancel = context.WithCancel(t.Context())
	if o := execute(ctx, time.Millisecond, func(c *T) { c.Errorf("wrong"); cancel(); waitForEnd(c) }); o.Interrupted || len(o.Failures) != 1 {
		t.Errorf("interrupted after a failed assertion: %+v", o)
	}
}

// TestCaseThatCannotOpen: a backend that refuses the user is no failure of a provider.
func TestCaseThatCannotOpen(t *testing.T) {
	if o := execute(t.Context(), time.Hour, func(c *T) { c.Open() }); !strings.Contains(o.Blocked, "no such user") {
		t.Errorf("refused: %+v", o)
	}
	o := execute(t.Context(), time.Hour, func(c *T) { c.Must(errors.New("wrong")) })
	if len(o.Failures) != 1 || o.Blocked != "" {
		t.Errorf("a failed assertion: %+v", o)
	}
}

// TestLog: log lines come while the case runs, and none when its outcome is known,
// even of a case that hangs.
func TestLog(t *testing.T) {
	var lines []string
	late, said := make(chan struct{}), make(chan struct{})
	env := &Env{Patience: time.Millisecond, Log: func(line string) { lines = append(lines, line) }}
	env.Execute(t.Context(), Case{Name: "kv/x", Timeout: time.Millisecond, Run: func(c *T) {
		c.Logf("early")
		if len(lines) != 1 || lines[0] != "early" {
			t.Errorf("lines while the case runs: %q", lines)
		}
		<-late
		c.Logf("late")
		close(said)
	}})
	close(late)
	<-said
	if len(lines) != 1 {
		t.Errorf("lines after the outcome: %q", lines)
	}
}
