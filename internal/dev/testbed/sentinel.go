package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// SentinelMasterName is the name under which the sentinels know the group.
	SentinelMasterName = "fairlead"

	sentinelReplicas = 2
	sentinelCount    = 3
	sentinelDown     = time.Second
	sentinelTimeout  = 5 * time.Second

	// groupTimeout bounds the waits for several servers to agree.
	groupTimeout = 60 * time.Second
)

// RedisSentinel is a primary, two replicas, and three sentinels that watch them
// and promote a replica about one second after the primary has stopped
// answering.
type RedisSentinel struct {
	Servers   []*RedisServer // the first one began as the primary
	Sentinels []*RedisServer
}

// StartSentinel starts a group and returns when all sentinels know all servers
// and both replicas follow the primary. The options hold for the primary and
// the replicas; RedisTLS is not supported here. The caller must Close it.
func StartSentinel(ctx context.Context, opts ...RedisOption) (_ *RedisSentinel, err error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	config, err := newRedisConfig(opts)
	if err != nil {
		return nil, err
	}
	if config.tls {
		return nil, errors.New("testbed: StartSentinel: RedisTLS is not supported")
	}
	g := &RedisSentinel{}
	if err := g.start(ctx, config.password, opts); err != nil {
		return nil, fmt.Errorf("testbed: sentinel group: %w", errors.Join(err, g.Close()))
	}
	return g, nil
}

func (g *RedisSentinel) start(ctx context.Context, password string, opts []RedisOption) (err error) {
	primary, err := StartRedis(ctx, opts...)
	if err != nil {
		return err
	}
	g.Servers = []*RedisServer{primary}
	follow := RedisConf(fmt.Sprintf("replicaof 127.0.0.1 %d", primary.port.number), "repl-diskless-sync-delay 0")
	replicas, err := startRedisServers(ctx, sentinelReplicas, func(int) []RedisOption {
		return append(slices.Clone(opts), follow)
	})
	if err != nil {
		return err
	}
	g.Servers = append(g.Servers, replicas...)
	// A sentinel asks the primary for its replicas at its own start, and then
	// every ten seconds: a replica that follows late is found late.
	if err := poll(ctx, g.followed); err != nil {
		return err
	}
	lines := sentinelLines(primary, password)
	g.Sentinels, err = startRedisServers(ctx, sentinelCount, func(int) []RedisOption {
		return []RedisOption{asSentinel, RedisConf(lines...)}
	})
	if err != nil {
		return err
	}
	return poll(ctx, g.acquainted)
}

func asSentinel(c *redisConfig) error {
	c.sentinel = true
	return nil
}

func sentinelLines(primary *RedisServer, password string) []string {
	lines := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", SentinelMasterName, primary.port.number),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", SentinelMasterName, sentinelDown.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", SentinelMasterName, sentinelTimeout.Milliseconds()),
	}
	if password != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %s", SentinelMasterName, password))
	}
	return lines
}

// followed succeeds when the replicas follow the primary.
func (g *RedisSentinel) followed(ctx context.Context) error {
	return all(ctx, g.Servers[1:], func(ctx context.Context, s *RedisServer) error {
		return s.expect(ctx, "replication", "master_link_status", "up")
	})
}

// acquainted succeeds when every sentinel knows all the others and the replicas.
func (g *RedisSentinel) acquainted(ctx context.Context) error {
	return all(ctx, g.Sentinels, func(ctx context.Context, s *RedisServer) error {
		return s.Do(ctx, func(ctx context.Context, c *redis.Client) error {
			m, err := redis.NewSentinelClient(c.Options()).Master(ctx, SentinelMasterName).Result()
			if err != nil {
				return err
			}
			if r, o := m["num-slaves"], m["num-other-sentinels"]; r != "2" || o != "2" {
				return fmt.Errorf("it knows %s replicas and %s other sentinels, want 2 and 2", r, o)
			}
			return nil
		})
	})
}

// Addrs are the addresses of the sentinels.
func (g *RedisSentinel) Addrs() []string { return addrs(g.Sentinels) }

// Primary is the server that the sentinels name as the primary. It fails while
// they disagree.
func (g *RedisSentinel) Primary(ctx context.Context) (*RedisServer, error) {
	var found *RedisServer
	err := all(ctx, g.Sentinels, func(ctx context.Context, s *RedisServer) error {
		p, err := g.primaryBy(ctx, s)
		if err == nil && found != nil && p != found {
			err = fmt.Errorf("it names %s as the primary, another one %s", p.Addr(), found.Addr())
		}
		found = p
		return err
	})
	if err == nil && found == nil {
		err = errors.New("no sentinel runs")
	}
	if err != nil {
		return nil, fmt.Errorf("testbed: primary: %w", err)
	}
	return found, nil
}

// primaryBy is the primary that one sentinel names.
func (g *RedisSentinel) primaryBy(ctx context.Context, sentinel *RedisServer) (*RedisServer, error) {
	var hostPort []string
	err := sentinel.Do(ctx, func(ctx context.Context, c *redis.Client) (err error) {
		hostPort, err = redis.NewSentinelClient(c.Options()).GetMasterAddrByName(ctx, SentinelMasterName).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(hostPort) != 2 {
		return nil, fmt.Errorf("it names %q as the primary", hostPort)
	}
	return serverAt(g.Servers, net.JoinHostPort(hostPort[0], hostPort[1]))
}

// Failover kills the primary and waits until another server is the primary.
// The old one stays dead; when it is started again, the sentinels make a
// replica of it.
func (g *RedisSentinel) Failover(ctx context.Context) (old, promoted *RedisServer, err error) {
	if old, err = g.Primary(ctx); err != nil {
		return nil, nil, err
	}
	if err = old.Kill(ctx); err != nil {
		return nil, nil, err
	}
	promoted, err = g.WaitPromoted(ctx, old)
	return old, promoted, err
}

// WaitPromoted waits until all sentinels name a server other than old as the
// primary, and that server says so itself.
func (g *RedisSentinel) WaitPromoted(ctx context.Context, old *RedisServer) (promoted *RedisServer, err error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	err = poll(ctx, func(ctx context.Context) (err error) {
		if promoted, err = g.Primary(ctx); err != nil {
			return err
		}
		if promoted == old {
			return fmt.Errorf("%s is still the primary", old.Addr())
		}
		return promoted.expect(ctx, "replication", "role", "master")
	})
	if err != nil {
		return nil, fmt.Errorf("testbed: no promotion: %w", err)
	}
	return promoted, nil
}

// Log is the end of the logs of all servers and sentinels.
func (g *RedisSentinel) Log() string { return logs(g.Servers) + logs(g.Sentinels) }

// Close kills all servers and sentinels.
func (g *RedisSentinel) Close() error {
	return errors.Join(closeAll(g.Sentinels), closeAll(g.Servers))
}
