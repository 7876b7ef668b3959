package wire

import (
	"context"
	"math"
	"testing"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// callTime is what a plugin learns of a caller's deadline.
type callTime struct {
	timeout  time.Duration // in the call
	deadline time.Time     // of the call's context
	bounded  bool          // whether the context has a deadline
}

// TestDeadlines shows what the plugin learns of a caller's deadline: a little
// more time than is left, so that the plugin is never the first to report the
// deadline. Even the longest timeout gives no deadline in the past.
func TestDeadlines(t *testing.T) {
	calls := make(chan callTime, 1)
	l, _ := newLinkedPair(t, func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
		deadline, ok := ctx.Deadline()
		calls <- callTime{time.Duration(c.TimeoutNanos), deadline, ok}
		return &pluginpb.Reply{}
	})
	ask := func(ctx context.Context) callTime {
		t.Helper()
		if r, err := l.Call(ctx, newCall("k", nil), nil); err != nil || r.Error != nil {
			t.Fatalf("%v, %v", r, err)
		}
		return <-calls
	}
	if got := ask(context.Background()); got.timeout != 0 || got.bounded {
		t.Errorf("without a deadline the plugin is told %+v", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	mine, _ := ctx.Deadline()
	if got := ask(ctx); !got.bounded || got.deadline.Before(mine.Add(timeoutSlack)) || got.deadline.After(mine.Add(timeoutSlack+time.Minute)) {
		t.Errorf("with the deadline %v the plugin is told %+v", mine, got)
	}
	for name, bound := range map[string]func() (context.Context, context.CancelFunc){
		"all there is":  timeoutContext(math.MaxInt64),
		"almost all":    timeoutContext(math.MaxInt64 - timeoutSlack/2),
		"the year 9999": deadlineContext(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)),
	} {
		ctx, cancel := bound()
		got := ask(ctx)
		cancel()
		if century := time.Now().AddDate(100, 0, 0); got.timeout <= 0 || !got.bounded || got.deadline.Before(century) {
			t.Errorf("%s: the plugin is told %+v", name, got)
		}
	}
}

func timeoutContext(d time.Duration) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) { return context.WithTimeout(context.Background(), d) }
}

func deadlineContext(deadline time.Time) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) {
		return context.WithDeadline(context.Background(), deadline)
	}
}
