package wire

import (
	"context"
	"math"
	"testing"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// told is what a plugin learns of a caller's time.
type told struct {
	timeout  time.Duration // what came
	deadline time.Time     // of the call's context
	bounded  bool          // it has one
}

// TestDeadlines shows what the plugin learns of a caller's time: a little more
// than there is, so that it is never the first to say that it is over; and also
// of the greatest no moment in the past.
func TestDeadlines(t *testing.T) {
	calls := make(chan told, 1)
	l, _ := linked(t, func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply {
		deadline, ok := ctx.Deadline()
		calls <- told{time.Duration(c.TimeoutNanos), deadline, ok}
		return &pluginpb.Reply{}
	})
	ask := func(ctx context.Context) told {
		t.Helper()
		if r, err := l.Call(ctx, call("k", nil), nil); err != nil || r.Error != nil {
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
	if got := ask(ctx); !got.bounded || got.deadline.Before(mine.Add(slack)) || got.deadline.After(mine.Add(slack+time.Minute)) {
		t.Errorf("with the deadline %v the plugin is told %+v", mine, got)
	}
	for name, bound := range map[string]func() (context.Context, context.CancelFunc){
		"all there is":  within(math.MaxInt64),
		"almost all":    within(math.MaxInt64 - slack/2),
		"the year 9999": until(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)),
	} {
		ctx, cancel := bound()
		got := ask(ctx)
		cancel()
		if century := time.Now().AddDate(100, 0, 0); got.timeout <= 0 || !got.bounded || got.deadline.Before(century) {
			t.Errorf("%s: the plugin is told %+v", name, got)
		}
	}
}

func within(d time.Duration) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) { return context.WithTimeout(context.Background(), d) }
}

func until(deadline time.Time) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) {
		return context.WithDeadline(context.Background(), deadline)
	}
}
