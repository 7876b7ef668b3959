package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedisDefaultsAreDurable(t *testing.T) {
	s := Redis(t)
	c := RedisClient(t, s)
	for name, want := range map[string]string{"appendonly": "yes", "appendfsync": "always", "save": ""} {
		if got := configGet(t, c, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if want := "redis://" + s.Addr(); s.URL() != want {
		t.Errorf("URL() = %q, want %q", s.URL(), want)
	}
}

func TestRedisConfWinsOverDefaults(t *testing.T) {
	s := Redis(t, RedisConf("appendfsync everysec", "no-appendfsync-on-rewrite yes"), RedisConf("maxmemory-policy allkeys-lru"))
	c := RedisClient(t, s)
	for name, want := range map[string]string{
		"appendfsync": "everysec", "no-appendfsync-on-rewrite": "yes", "maxmemory-policy": "allkeys-lru",
	} {
		if got := configGet(t, c, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestRedisKeepsDataAndAddressOverKillAndRestart(t *testing.T) {
	ctx := deadline(t)
	s := Redis(t)
	c := RedisClient(t, s)
	addr, first := s.Addr(), s.PID()
	for i, end := range []func(context.Context) error{s.Kill, s.Stop} {
		must(t, c.Set(ctx, fmt.Sprint(i), "kept", 0).Err())
		pid := s.PID()
		must(t, end(ctx))
		if s.Running() || exists(pid) {
			t.Fatalf("process %d still runs", pid)
		}
		if err := c.Ping(ctx).Err(); err == nil {
			t.Fatal("an ended server answers")
		}
		must(t, s.Start(ctx))
	}
	must(t, s.Restart(ctx))
	if s.Addr() != addr || s.PID() == first {
		t.Errorf("addr %s → %s, pid %d → %d", addr, s.Addr(), first, s.PID())
	}
	for i := range 2 {
		if got := c.Get(ctx, fmt.Sprint(i)).Val(); got != "kept" {
			t.Errorf("key %d = %q after restarts", i, got)
		}
	}
}

func TestRedisStartTwiceFails(t *testing.T) {
	s := Redis(t)
	pid := s.PID()
	if err := s.Start(deadline(t)); err == nil {
		t.Fatal("a second Start succeeded")
	}
	if s.PID() != pid {
		t.Errorf("the failed Start changed the process: %d → %d", pid, s.PID())
	}
}

func TestRedisEndingTwiceIsHarmless(t *testing.T) {
	ctx := deadline(t)
	s := Redis(t)
	must(t, s.Kill(ctx))
	must(t, s.Kill(ctx))
	must(t, s.Stop(ctx))
	if err := s.Pause(ctx); err == nil {
		t.Error("pausing a dead server succeeded")
	}
	must(t, s.Close())
	must(t, s.Close())
}

func TestRedisPause(t *testing.T) {
	ctx := deadline(t)
	s := Redis(t)
	c := RedisClient(t, s)
	must(t, c.Ping(ctx).Err())
	must(t, s.Pause(ctx))
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := c.Ping(short).Err(); !errors.Is(err, context.DeadlineExceeded) && !os.IsTimeout(err) {
		t.Fatalf("a paused server: %v, want a timeout", err)
	}
	must(t, s.Continue(ctx))
	must(t, c.Ping(ctx).Err())
}

func TestRedisPausedCanBeEnded(t *testing.T) {
	ctx := deadline(t)
	s := Redis(t)
	for _, end := range []func(context.Context) error{s.Stop, s.Kill} {
		must(t, s.Pause(ctx))
		must(t, end(ctx))
		must(t, s.Start(ctx))
	}
	must(t, s.Pause(ctx))
	pid, dir := s.PID(), s.Dir()
	must(t, s.Close())
	if exists(pid) {
		t.Errorf("process %d survived Close", pid)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder %s survived Close: %v", dir, err)
	}
}

func TestRedisPassword(t *testing.T) {
	ctx := deadline(t)
	s := Redis(t, RedisPassword("open-sesame"))
	must(t, RedisClient(t, s).Ping(ctx).Err())
	if err := pingAs(ctx, t, s, "", ""); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without a password: %v, want NOAUTH", err)
	}
	if strings.Contains(s.URL(), "sesame") {
		t.Errorf("URL() shows the password: %s", s.URL())
	}
	if want := "redis://:open-sesame@" + s.Addr(); s.URLFor("", "open-sesame") != want {
		t.Errorf("URLFor = %q, want %q", s.URLFor("", "open-sesame"), want)
	}
}

func TestRedisUserDeniedConfig(t *testing.T) {
	ctx := deadline(t)
	s := Redis(t, RedisUser("app", "secret", "~* &* +@all -config"))
	must(t, pingAs(ctx, t, s, "app", "secret"))
	o, err := s.Options()
	must(t, err)
	o.Username, o.Password = "app", "secret"
	c := redis.NewClient(o)
	defer c.Close()
	if err := c.ConfigGet(ctx, "appendonly").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("CONFIG GET: %v, want NOPERM", err)
	}
}

func TestRedisTLS(t *testing.T) {
	for _, demand := range []bool{false, true} {
		t.Run(fmt.Sprintf("clientCert=%t", demand), func(t *testing.T) {
			ctx := deadline(t)
			s := Redis(t, RedisTLS(demand))
			must(t, RedisClient(t, s).Ping(ctx).Err())
			if want := "rediss://" + s.Addr(); s.URL() != want {
				t.Errorf("URL() = %q, want %q", s.URL(), want)
			}
			o, err := s.Options()
			must(t, err)
			o.TLSConfig.Certificates = nil
			c := redis.NewClient(o)
			defer c.Close()
			if err := c.Ping(ctx).Err(); (err != nil) != demand {
				t.Errorf("without a client certificate: %v", err)
			}
			o.TLSConfig = nil
			plain := redis.NewClient(o)
			defer plain.Close()
			if err := plain.Ping(ctx).Err(); err == nil {
				t.Error("the server speaks without TLS")
			}
		})
	}
}

func TestRedisUnixSocket(t *testing.T) {
	s := Redis(t, RedisUnixSocket())
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.SocketPath()})
	defer c.Close()
	must(t, c.Ping(deadline(t)).Err())
}

func TestRedisBadOptions(t *testing.T) {
	for _, o := range []RedisOption{RedisConf("a\nb"), RedisPassword(""), RedisPassword("a b")} {
		if s, err := StartRedis(deadline(t), o); err == nil {
			t.Error("accepted", s.Close())
		}
	}
}

func TestRedisRefusedConfigShowsTheLog(t *testing.T) {
	_, err := StartRedis(deadline(t), RedisConf("no-such-directive 1"))
	if err == nil || !strings.Contains(err.Error(), "no-such-directive") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("error does not say why: %v", err)
	}
}

func TestRedisMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartRedis(deadline(t))
	for _, word := range []string{"make deps", "Debian package redis-server"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not name %q", err, word)
		}
	}
}

func TestFolderOfServers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(FolderEnv, dir)
	if s := Redis(t); filepath.Dir(s.Dir()) != dir {
		t.Errorf("the server's folder is %s, want one in %s", s.Dir(), dir)
	}
	t.Setenv(FolderEnv, filepath.Join(dir, "missing"))
	if _, err := StartRedis(deadline(t)); err == nil || !strings.Contains(err.Error(), FolderEnv) {
		t.Errorf("%v does not name %s", err, FolderEnv)
	}
}

func TestRedisStartHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(deadline(t))
	gone := errors.New("gave up")
	cancel(gone)
	if _, err := StartRedis(ctx); !errors.Is(err, gone) {
		t.Errorf("error %v, want the context's cause", err)
	}
}

func TestRedisInParallel(t *testing.T) {
	ctx := deadline(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			s, err := StartRedis(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			mu.Lock()
			defer mu.Unlock()
			if seen[s.Addr()] {
				t.Errorf("%s was handed out twice", s.Addr())
			}
			seen[s.Addr()] = true
			must(t, s.ping(ctx))
		})
	}
	wg.Wait()
}

func configGet(t *testing.T, c *redis.Client, name string) string {
	t.Helper()
	m, err := c.ConfigGet(deadline(t), name).Result()
	must(t, err)
	return m[name]
}

func pingAs(ctx context.Context, t *testing.T, s *RedisServer, user, password string) error {
	t.Helper()
	o, err := s.Options()
	must(t, err)
	o.Username, o.Password = user, password
	c := redis.NewClient(o)
	defer c.Close()
	return c.Ping(ctx).Err()
}

// deadline is a context that ends a test which hangs.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }
