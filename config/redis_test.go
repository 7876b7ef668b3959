package config_test

import (
	"testing"
	"time"

	"fairlead.dev/config"
	"fairlead.dev/internal/dev/testbed"
	_ "fairlead.dev/providers/redis"
)

func TestRedisStorm(t *testing.T) { storm(t, open(t, testbed.Redis(t).URL()), 2000) }

func TestRedisRestart(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL())
	s := openSource(t, p)
	w := watch[pair](t, config.From(p, "app", config.Require(config.Snapshot, config.AtomicSet, config.CompareAndSet)))
	set(t, s, both(1)...)
	eventually(t, "the first change", func() bool { return w.Get().Left == 1 }, func() any { return w.Health() })

	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the outage in Health", func() bool { return w.Err() != nil }, func() any { return w.Health() })
	t.Logf("the outage was reported after %v: %v", time.Since(start).Round(time.Millisecond), w.Err())
	if *w.Get() != (pair{1, 1, "none"}) {
		t.Errorf("during the outage: %+v", *w.Get())
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	eventually(t, "a change after the restart", func() bool {
		_, err := s.Set(t.Context(), both(2)...)
		return err == nil
	}, func() any { return w.Health() })
	eventually(t, "catching up", func() bool { return w.Get().Left == 2 && w.Err() == nil }, func() any { return w.Health() })
	t.Logf("caught up after %v", time.Since(start).Round(time.Millisecond))
}

// A server that hangs does not refuse calls: they time out.
func TestRedisHangs(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL())
	w := watch[pair](t, config.From(p, "app"))
	if err := server.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the outage in Health", func() bool { return w.Err() != nil }, func() any { return w.Health() })
	t.Logf("the hanging server was reported after %v: %v", time.Since(start).Round(time.Millisecond), w.Err())
	if err := server.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recovery", func() bool { return w.Err() == nil }, func() any { return w.Health() })
}
