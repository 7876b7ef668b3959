package testbed

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// Redis starts a Redis server for a test, which ends with it. If the test
// fails, the end of the server's log is printed.
func Redis(tb testing.TB, opts ...RedisOption) *RedisServer {
	tb.Helper()
	s, err := StartRedis(tb.Context(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, s)
	return s
}

// RedisClient is a client made from the server's Options, which is closed at
// the end of the test.
func RedisClient(tb testing.TB, s *RedisServer) *redis.Client {
	tb.Helper()
	o, err := s.Options()
	if err != nil {
		tb.Fatal(err)
	}
	c := redis.NewClient(o)
	tb.Cleanup(func() { _ = c.Close() }) // the test may have closed it already
	return c
}

// server is what the handles of all kinds have in common.
type server interface {
	Log() string
	Close() error
}

// cleanup closes s at the end of the test, and prints its log if the test has
// failed.
func cleanup(tb testing.TB, s server) {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("--- log of %T ---\n%s", s, s.Log())
		}
		if err := s.Close(); err != nil {
			tb.Errorf("cleaning up: %v", err)
		}
	})
}
