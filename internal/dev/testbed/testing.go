package testbed

import (
	"io"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Redis starts a Redis server that stops at the end of the test. If the test
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

// Sentinel starts a primary, two replicas and three sentinels that
// stop at the end of the test. See StartSentinel.
func Sentinel(tb testing.TB, opts ...RedisOption) *RedisSentinel {
	tb.Helper()
	g, err := StartSentinel(tb.Context(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, g)
	return g
}

// Cluster starts a Redis Cluster of three primaries, with a replica for each if
// replicas is true, that stops at the end of the test. See StartCluster.
func Cluster(tb testing.TB, replicas bool, opts ...RedisOption) *RedisCluster {
	tb.Helper()
	c, err := StartCluster(tb.Context(), replicas, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, c)
	return c
}

// Port returns a loopback TCP port for a server of the test's own. No other
// testbed uses it until the test ends.
func Port(tb testing.TB) int {
	tb.Helper()
	p, err := reservePort()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.release() }) // its end is the process's, at the latest
	return p.number
}

// Proxy starts a proxy in front of target ("host:port") that stops at the
// end of the test.
func Proxy(tb testing.TB, target string) *TCPProxy {
	tb.Helper()
	p, err := StartProxy(tb.Context(), target)
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, p)
	return p
}

// cleanup closes c at the end of the test, and prints its log, if it has one
// and the test has failed.
func cleanup(tb testing.TB, c io.Closer) {
	tb.Helper()
	tb.Cleanup(func() {
		if l, ok := c.(interface{ Log() string }); ok && tb.Failed() {
			tb.Logf("--- log of %T ---\n%s", c, l.Log())
		}
		if err := c.Close(); err != nil {
			tb.Errorf("cleaning up: %v", err)
		}
	})
}
