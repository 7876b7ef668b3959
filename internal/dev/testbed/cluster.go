package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

const (
	clusterPrimaries = 3
	clusterSlots     = 16384
)

// RedisCluster is a Redis Cluster of three primaries, which share all slots,
// and optionally a replica for each. A node counts as failed about one
// second after it has stopped answering.
type RedisCluster struct {
	Nodes []*RedisServer // the primaries first
}

// StartCluster starts a cluster and returns when every node reports
// "cluster_state:ok" and every replica follows its primary. The options hold
// for all nodes; RedisTLS is not supported here. The caller must Close it.
func StartCluster(ctx context.Context, replicas bool, opts ...RedisOption) (*RedisCluster, error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	config, err := newRedisConfig(opts)
	if err != nil {
		return nil, err
	}
	if config.tls {
		return nil, errors.New("testbed: StartCluster: RedisTLS is not supported")
	}
	n := clusterPrimaries
	if replicas {
		n *= 2
	}
	nodes, err := startRedisServers(ctx, n, func(int) []RedisOption {
		return append(slices.Clone(opts), asClusterNode, RedisConf("repl-diskless-sync-delay 0"))
	})
	if err != nil {
		return nil, err
	}
	c := &RedisCluster{Nodes: nodes}
	if err := c.form(ctx); err != nil {
		return nil, fmt.Errorf("testbed: cluster: %w", errors.Join(err, c.Close()))
	}
	return c, nil
}

func asClusterNode(c *redisConfig) error {
	c.cluster = true
	return nil
}

// form makes one cluster of the nodes.
func (c *RedisCluster) form(ctx context.Context) error {
	for i, n := range c.Nodes {
		if err := n.Do(ctx, func(ctx context.Context, r *redis.Client) error { return c.introduce(ctx, i, r) }); err != nil {
			return fmt.Errorf("%s: %w", n.Addr(), err)
		}
	}
	if err := poll(ctx, c.acquainted); err != nil {
		return err
	}
	for i, n := range c.Nodes[clusterPrimaries:] {
		if err := n.replicate(ctx, c.Nodes[i]); err != nil {
			return fmt.Errorf("%s: %w", n.Addr(), err)
		}
	}
	return c.WaitOK(ctx)
}

// introduce gives a node its slots, a separate epoch (so that no two nodes have to
// agree on one first), and the address of the first node.
func (c *RedisCluster) introduce(ctx context.Context, i int, r *redis.Client) error {
	if err := r.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
		return err
	}
	if i < clusterPrimaries {
		first, next := i*clusterSlots/clusterPrimaries, (i+1)*clusterSlots/clusterPrimaries
		if err := r.ClusterAddSlotsRange(ctx, first, next-1).Err(); err != nil {
			return err
		}
	}
	if i == 0 {
		return nil
	}
	meet := c.Nodes[0]
	return r.Do(ctx, "cluster", "meet", "127.0.0.1", meet.port.number, meet.busPort.number).Err()
}

// acquainted succeeds when every node knows every other.
func (c *RedisCluster) acquainted(ctx context.Context) error {
	return all(ctx, c.Nodes, func(ctx context.Context, s *RedisServer) error {
		return s.expectCluster(ctx, "cluster_known_nodes", strconv.Itoa(len(c.Nodes)))
	})
}

// replicate makes s a replica. It retries, because s does not know the primary's
// id before its handshake has ended.
func (s *RedisServer) replicate(ctx context.Context, primary *RedisServer) error {
	var id string
	err := primary.Do(ctx, func(ctx context.Context, r *redis.Client) (err error) {
		id, err = r.Do(ctx, "cluster", "myid").Text()
		return err
	})
	if err != nil {
		return err
	}
	return poll(ctx, func(ctx context.Context) error {
		return s.Do(ctx, func(ctx context.Context, r *redis.Client) error { return r.ClusterReplicate(ctx, id).Err() })
	})
}

// expectCluster fails unless a field of CLUSTER INFO has a value.
func (s *RedisServer) expectCluster(ctx context.Context, name, want string) error {
	return s.Do(ctx, func(ctx context.Context, r *redis.Client) error {
		text, err := r.ClusterInfo(ctx).Result()
		if got := lookUp(text, name); err == nil && got != want {
			err = fmt.Errorf("%s is %q, want %q", name, got, want)
		}
		return err
	})
}

// Addrs are the addresses of all nodes.
func (c *RedisCluster) Addrs() []string { return addrs(c.Nodes) }

// WaitOK waits until every running node reports "cluster_state:ok" and every
// running replica follows its primary.
func (c *RedisCluster) WaitOK(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	err := poll(ctx, func(ctx context.Context) error { return all(ctx, c.Nodes, healthy) })
	if err != nil {
		return fmt.Errorf("testbed: cluster: %w", err)
	}
	return nil
}

func healthy(ctx context.Context, s *RedisServer) error {
	if err := s.expectCluster(ctx, "cluster_state", "ok"); err != nil {
		return err
	}
	role, err := s.field(ctx, "replication", "role")
	if err != nil || role == "master" {
		return err
	}
	return s.expect(ctx, "replication", "master_link_status", "up")
}

// PrimaryOf is the node that serves key, as all running nodes see it. It fails
// while they disagree, and while the one that they name does not run.
func (c *RedisCluster) PrimaryOf(ctx context.Context, key string) (*RedisServer, error) {
	var found *RedisServer
	err := all(ctx, c.Nodes, func(ctx context.Context, s *RedisServer) error {
		p, err := c.primaryBy(ctx, s, key)
		if err == nil && found != nil && p != found {
			err = fmt.Errorf("it names %s as the primary of %q, another node %s", p.Addr(), key, found.Addr())
		}
		found = p
		return err
	})
	switch {
	case err != nil:
	case found == nil:
		err = errors.New("no node runs")
	case !found.Running():
		err = fmt.Errorf("%s, which serves %q, does not run", found.Addr(), key)
	}
	if err != nil {
		return nil, fmt.Errorf("testbed: cluster: %w", err)
	}
	return found, nil
}

// primaryBy is the node that serves key, in the view of one node.
func (c *RedisCluster) primaryBy(ctx context.Context, node *RedisServer, key string) (found *RedisServer, err error) {
	err = node.Do(ctx, func(ctx context.Context, r *redis.Client) error {
		slot, err := r.ClusterKeySlot(ctx, key).Result()
		if err != nil {
			return err
		}
		shards, err := r.ClusterShards(ctx).Result()
		if err != nil {
			return err
		}
		port, err := primaryPort(shards, slot)
		if err != nil {
			return err
		}
		found, err = serverAt(c.Nodes, net.JoinHostPort("127.0.0.1", strconv.FormatInt(port, 10)))
		return err
	})
	return found, err
}

// primaryPort is the port of the primary that serves a slot.
func primaryPort(shards []redis.ClusterShard, slot int64) (int64, error) {
	for _, s := range shards {
		serves := slices.ContainsFunc(s.Slots, func(r redis.SlotRange) bool { return r.Start <= slot && slot <= r.End })
		for _, n := range s.Nodes {
			if serves && n.Role == "master" {
				return n.Port, nil
			}
		}
	}
	return 0, fmt.Errorf("no node serves slot %d", slot)
}

// Failover kills the primary that serves key and waits until its replica has
// taken over. It needs a cluster with replicas. The old primary stays dead;
// when it is started again, it becomes a replica.
func (c *RedisCluster) Failover(ctx context.Context, key string) (old, promoted *RedisServer, err error) {
	if len(c.Nodes) == clusterPrimaries {
		return nil, nil, errors.New("testbed: cluster: a failover needs replicas")
	}
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	if old, err = c.PrimaryOf(ctx, key); err != nil {
		return nil, nil, err
	}
	if err := old.Kill(ctx); err != nil {
		return nil, nil, err
	}
	err = poll(ctx, func(ctx context.Context) (err error) {
		promoted, err = c.PrimaryOf(ctx, key)
		return err
	})
	if err != nil {
		return old, nil, fmt.Errorf("testbed: no promotion: %w", err)
	}
	return old, promoted, c.WaitOK(ctx)
}

// Log is the end of the logs of all nodes.
func (c *RedisCluster) Log() string { return logs(c.Nodes) }

// Close kills all nodes.
func (c *RedisCluster) Close() error { return closeAll(c.Nodes) }
