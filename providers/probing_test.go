package providers

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
)

// TestKeep shows that every probe updates the description, at every interval and
// whenever a Trigger asks for it. A backend that cannot be reached changes nothing,
// and a probe that hangs is ended.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := NewLive(fairlead.Description{Provider: "test", Version: "0"})
		type finding struct {
			version string
			failure error
			hangs   bool
		}
		var found atomic.Pointer[finding]
		var probes, chores atomic.Int64
		now := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Keep(ctx, Probing{
				Probe: func(ctx context.Context) (fairlead.Description, error) {
					probes.Add(1)
					f := found.Load()
					if f.hangs {
						<-ctx.Done()
						return fairlead.Description{}, ctx.Err()
					}
					return fairlead.Description{Provider: "test", Version: f.version}, f.failure
				},
				Every: time.Minute, Timeout: 10 * time.Second, Now: now,
				Then: func() { chores.Add(1) }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
		}()
		expect := func(what, want string, times int64) {
			t.Helper()
			synctest.Wait()
			d, err := l.Describe(ctx)
			if err != nil || d.Version != want || probes.Load() != times || chores.Load() > times {
				t.Errorf("%s: version %q after %d probes and %d chores, %v; want %q after %d", what, d.Version, probes.Load(), chores.Load(), err, want, times)
			}
		}
		found.Store(&finding{version: "1"})
		time.Sleep(59 * time.Second)
		expect("before the interval has passed", "0", 0)
		time.Sleep(2 * time.Second)
		expect("after it", "1", 1)
		found.Store(&finding{version: "2"})
		now <- struct{}{}
		expect("asked", "2", 2)
		found.Store(&finding{version: "3", failure: errors.New("not reached")})
		time.Sleep(time.Minute)
		expect("not reached", "2", 3)
		found.Store(&finding{hangs: true})
		time.Sleep(time.Minute)
		expect("while a probe hangs", "2", 4)
		found.Store(&finding{version: "3"})
		time.Sleep(time.Minute)
		expect("reached again", "3", 5)
		if n := chores.Load(); n != 5 {
			t.Errorf("%d chores after 5 probes", n)
		}
		cancel()
		<-ended
	})
}
