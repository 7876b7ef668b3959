package testbed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// bindAttempts bounds the number of ports tried when other programs take them.
const bindAttempts = 5

// RedisServer is a redis-server in a separate process. Unless options say
// otherwise, it runs standalone with "appendonly yes" and "appendfsync always",
// and demands no password.
type RedisServer struct {
	*Process
	config  *redisConfig
	port    *reservedPort
	busPort *reservedPort // of a cluster node
	certs   *Certificates

	closing sync.Once
	closed  error
}

// StartRedis starts a Redis server and returns when it answers. The caller must
// Close it.
func StartRedis(ctx context.Context, opts ...RedisOption) (*RedisServer, error) {
	config, err := newRedisConfig(opts)
	if err != nil {
		return nil, err
	}
	path, err := findRedis()
	if err != nil {
		return nil, err
	}
	var last error
	for range bindAttempts {
		s, err := startRedis(ctx, path, config)
		if err == nil {
			return s, nil
		}
		if !strings.Contains(err.Error(), "Address already in use") {
			return nil, err
		}
		last = err
	}
	return nil, last
}

func findRedis() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("testbed: redis-server is not installed: run `make deps`, or install the Debian package redis-server: %w", err)
	}
	return path, nil
}

func startRedis(ctx context.Context, path string, config *redisConfig) (*RedisServer, error) {
	dir, err := newFolder("redis")
	if err != nil {
		return nil, err
	}
	spec := processSpec{path: path, args: []string{"redis.conf"}, dir: dir}
	if config.sentinel {
		spec.args = append(spec.args, "--sentinel")
	}
	s := &RedisServer{Process: newProcess(spec), config: config}
	s.spec.ready = s.ping
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare reserves the ports and writes the files that the server reads.
func (s *RedisServer) prepare() (err error) {
	if s.port, err = reservePort(); err != nil {
		return err
	}
	if s.config.cluster {
		if s.busPort, err = reservePort(); err != nil {
			return err
		}
	}
	if s.config.tls {
		if s.certs, err = NewCertificates(s.Dir()); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.Dir(), "redis.conf"), []byte(s.config.file(s)), 0o600)
}

// Addr is the server's TCP address, "127.0.0.1:PORT". It stays the same over
// restarts.
func (s *RedisServer) Addr() string { return s.port.addr() }

// URL is "redis://127.0.0.1:PORT", or "rediss://…" for a server that speaks
// TLS. It holds no password.
func (s *RedisServer) URL() string { return s.url(nil) }

// URLFor is URL with a user's name and password; an empty name is the default
// user.
func (s *RedisServer) URLFor(user, password string) string {
	return s.url(url.UserPassword(user, password))
}

func (s *RedisServer) url(user *url.Userinfo) string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), User: user}
	if s.config.tls {
		u.Scheme = "rediss"
	}
	return u.String()
}

// SocketPath is the path of the Unix socket of a server that was started with
// RedisUnixSocket.
func (s *RedisServer) SocketPath() string { return filepath.Join(s.Dir(), "s") }

// Certificates returns the certificates of a server with RedisTLS, else nil.
func (s *RedisServer) Certificates() *Certificates { return s.certs }

// Options are the options of a go-redis client with all rights, which neither
// retries nor waits long for a server that does not answer. Each call returns
// a new value, which the caller may change.
func (s *RedisServer) Options() (*redis.Options, error) {
	o := &redis.Options{
		Addr:          s.Addr(),
		Password:      s.config.password,
		MaxRetries:    -1,
		DialTimeout:   2 * time.Second,
		DialerRetries: 1,
		// A context's deadline bounds the wait for a reply as well.
		ContextTimeoutEnabled: true,
	}
	if s.certs != nil {
		var err error
		if o.TLSConfig, err = s.certs.ClientConfig(); err != nil {
			return nil, err
		}
		o.TLSConfig.MinVersion = tls.VersionTLS12
	}
	return o, nil
}

// Do runs f with a client made from Options, and closes the client.
func (s *RedisServer) Do(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	o, err := s.Options()
	if err != nil {
		return err
	}
	c := redis.NewClient(o)
	return errors.Join(f(ctx, c), c.Close())
}

// ping succeeds when the server has loaded its data and answers.
func (s *RedisServer) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	// The client logs each failure to connect. Expected failures are not printed.
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	return s.Do(ctx, func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() })
}

// Close kills the server, removes its folder and gives its ports back. Closing
// twice is harmless.
func (s *RedisServer) Close() error {
	s.closing.Do(func() {
		s.closed = s.Process.close()
		for _, p := range []*reservedPort{s.port, s.busPort} {
			if p != nil {
				s.closed = errors.Join(s.closed, p.release())
			}
		}
	})
	return s.closed
}
