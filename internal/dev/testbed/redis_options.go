package testbed

import (
	"errors"
	"fmt"
	"strings"
)

// RedisOption changes how a Redis server is set up.
type RedisOption func(*redisConfig) error

type redisConfig struct {
	lines      []string
	password   string
	tls        bool
	tlsAuth    bool // demand a client certificate
	unixSocket bool
	cluster    bool
	sentinel   bool
}

// RedisConf adds lines to redis.conf. They come last, and so win over the
// defaults: "appendfsync everysec", "appendonly no", "maxmemory-policy
// allkeys-lru".
func RedisConf(lines ...string) RedisOption {
	return func(c *redisConfig) error {
		for _, l := range lines {
			if strings.ContainsAny(l, "\r\n") {
				return fmt.Errorf("RedisConf: %q is more than one line", l)
			}
		}
		c.lines = append(c.lines, lines...)
		return nil
	}
}

// RedisPassword demands a password of the default user.
func RedisPassword(password string) RedisOption {
	return func(c *redisConfig) error {
		if password == "" || strings.ContainsAny(password, " \t\r\n\"'\\") {
			return errors.New("RedisPassword: it must not be empty, nor hold blanks, quotes or backslashes")
		}
		c.password = password
		return nil
	}
}

// RedisUser adds an ACL user with a password and rules: "~* &* +@all -config"
// may do everything but CONFIG.
func RedisUser(name, password, rules string) RedisOption {
	return RedisConf(fmt.Sprintf("user %s on >%s %s", name, password, rules))
}

// RedisTLS makes the server's TCP port accept TLS only, with certificates made
// for it. With demandClientCert, a client must present a certificate, too.
func RedisTLS(demandClientCert bool) RedisOption {
	return func(c *redisConfig) error {
		c.tls, c.tlsAuth = true, demandClientCert
		return nil
	}
}

// RedisUnixSocket makes the server listen on a Unix socket as well.
func RedisUnixSocket() RedisOption {
	return func(c *redisConfig) error {
		c.unixSocket = true
		return nil
	}
}

func newRedisConfig(opts []RedisOption) (*redisConfig, error) {
	c := &redisConfig{}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, fmt.Errorf("testbed: %w", err)
		}
	}
	return c, nil
}

// file is the text of redis.conf. Later lines win.
func (c *redisConfig) file(s *RedisServer) string {
	lines := []string{"bind 127.0.0.1", "dir ."}
	if c.sentinel {
		lines = append(lines, fmt.Sprintf("port %d", s.port.number))
		return strings.Join(append(lines, c.lines...), "\n") + "\n"
	}
	lines = append(lines, `save ""`, "appendonly yes", "appendfsync always")
	lines = append(lines, c.portLines(s)...)
	if c.password != "" {
		lines = append(lines, "requirepass "+c.password, "masterauth "+c.password)
	}
	if c.unixSocket {
		lines = append(lines, "unixsocket "+s.SocketPath())
	}
	if c.cluster {
		lines = append(lines, "cluster-enabled yes", "cluster-config-file nodes.conf",
			"cluster-node-timeout 1000", fmt.Sprintf("cluster-port %d", s.busPort.number))
	}
	return strings.Join(append(lines, c.lines...), "\n") + "\n"
}

func (c *redisConfig) portLines(s *RedisServer) []string {
	if !c.tls {
		return []string{fmt.Sprintf("port %d", s.port.number)}
	}
	auth := "no"
	if c.tlsAuth {
		auth = "yes"
	}
	return []string{
		"port 0", fmt.Sprintf("tls-port %d", s.port.number),
		"tls-ca-cert-file " + s.certs.CA,
		"tls-cert-file " + s.certs.ServerCert,
		"tls-key-file " + s.certs.ServerKey,
		"tls-auth-clients " + auth,
	}
}
