package config_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	kvdriver "fairlead.dev/kv/driver"
)

// tornProvider has sources that do not claim Snapshot.
func tornProvider(t testing.TB) fairlead.Provider {
	return altered{Provider: open(t, "mem://").(kvdriver.Provider), without: []fairlead.Claim{kvdriver.ClaimTxn, kvdriver.ClaimWatchTxn}}
}

// slowly sets both halves, with a pause in between.
func slowly(t testing.TB, s *config.Source, n int, pause time.Duration) {
	set(t, s, put("left", strconv.Itoa(n)))
	time.Sleep(pause)
	set(t, s, put("right", strconv.Itoa(n)))
}

func TestQuietPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := tornProvider(t)
		s := openSource(t, p)
		w := watch[pair](t, config.From(p, "app", config.QuietPeriod(time.Second)))
		w.OnChange(func(_, now *pair) {
			if now.Left != now.Right {
				t.Errorf("half a change: %+v", *now)
			}
		})
		for n := range 5 {
			slowly(t, s, n+1, 900*time.Millisecond)
			time.Sleep(1100 * time.Millisecond)
			if w.Get().Left != n+1 {
				t.Errorf("after change %d: %+v", n+1, *w.Get())
			}
		}
	})
}

// Load waits as well. If a source keeps changing, Load takes its present state.
func TestQuietPeriodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := tornProvider(t)
		s := openSource(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			defer close(ended)
			for n := 1; ctx.Err() == nil; n++ {
				slowly(t, s, n, 500*time.Millisecond)
				time.Sleep(500 * time.Millisecond)
			}
		}()
		start := time.Now()
		v, err := config.Load[pair](t.Context(), config.From(p, "app", config.QuietPeriod(time.Second)))
		if took := time.Since(start); err != nil || v.Left < 5 || took < 9*time.Second || took > 12*time.Second {
			t.Errorf("got %+v, %v after %v", v, err, took)
		}
		cancel()
		<-ended
	})
}

func TestQuietPeriodRefuses(t *testing.T) {
	p := open(t, "mem://")
	for _, d := range []time.Duration{0, -time.Second, time.Hour} {
		if _, err := config.Open(t.Context(), p, "app", config.QuietPeriod(d)); !errors.Is(err, fairlead.Invalid) {
			t.Errorf("%v: got %v", d, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := openSource(t, open(t, "mem://"), config.QuietPeriod(time.Minute))
		if _, err := s.Next(t.Context(), ""); err != nil || time.Since(start) > time.Second {
			t.Errorf("a source that claims Snapshot took %v, %v", time.Since(start), err)
		}
	})
}
