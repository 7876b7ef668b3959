package testbed

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestSentinelPromotesAReplica(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	g := Sentinel(t, RedisPassword("secret"))
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: SentinelMasterName, SentinelAddrs: g.Addrs(), Password: "secret",
	})
	defer c.Close()
	must(t, c.Set(ctx, "k", "v", 0).Err())
	must(t, c.Wait(ctx, 2, 0).Err()) // both replicas have it
	first, err := g.Primary(ctx)
	must(t, err)
	if first != g.Servers[0] {
		t.Errorf("the primary is %s, want %s", first.Addr(), g.Servers[0].Addr())
	}
	old, promoted, err := g.Failover(ctx)
	must(t, err)
	if old != first || promoted == old || old.Running() {
		t.Errorf("failover from %s to %s; the old one runs: %t", old.Addr(), promoted.Addr(), old.Running())
	}
	must(t, poll(ctx, func(ctx context.Context) error { return c.Set(ctx, "k2", "v2", 0).Err() }))
	if got := RedisClient(t, promoted).MGet(ctx, "k", "k2").Val(); fmt.Sprint(got) != "[v v2]" {
		t.Errorf("after the failover the new primary holds %v", got)
	}
}

func TestSentinelStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(deadline(t))
	cancel()
	if g, err := StartSentinel(ctx); err == nil {
		t.Error("started", g.Close())
	}
}

func TestClusterServesAllSlots(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cluster := Cluster(t, false, RedisPassword("secret"))
	if n := len(cluster.Nodes); n != 3 {
		t.Fatalf("%d nodes, want 3", n)
	}
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs(), Password: "secret"})
	defer c.Close()
	for i := range 100 {
		must(t, c.Set(ctx, fmt.Sprint("key", i), i, 0).Err())
	}
	for _, n := range cluster.Nodes {
		if size := RedisClient(t, n).DBSize(ctx).Val(); size == 0 || size == 100 {
			t.Errorf("%s holds %d of 100 keys", n.Addr(), size)
		}
	}
	if got := configGet(t, RedisClient(t, cluster.Nodes[0]), "cluster-require-full-coverage"); got != "yes" {
		t.Errorf("cluster-require-full-coverage is %q", got)
	}
	if _, _, err := cluster.Failover(ctx, "k"); err == nil || !strings.Contains(err.Error(), "needs replicas") {
		t.Errorf("failover without replicas: %v", err)
	}
	old := cluster.Nodes[1]
	must(t, old.Restart(ctx))
	must(t, cluster.WaitOK(ctx))
}

func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cluster := Cluster(t, true)
	if n := len(cluster.Nodes); n != 6 {
		t.Fatalf("%d nodes, want 6", n)
	}
	c := redis.NewClusterClient(&redis.ClusterOptions{
		// Only a reload tells the client of a failover when no node is left to
		// redirect it; the default is a minute.
		Addrs: cluster.Addrs(), ClusterStateReloadInterval: time.Second,
	})
	defer c.Close()
	must(t, c.Set(ctx, "k", "v", 0).Err())
	primary, err := cluster.PrimaryOf(ctx, "k")
	must(t, err)
	must(t, poll(ctx, func(ctx context.Context) error { return acknowledged(ctx, primary) }))
	old, promoted, err := cluster.Failover(ctx, "k")
	must(t, err)
	if old != primary || promoted == old || old.Running() {
		t.Errorf("failover from %s to %s; the old one runs: %t", old.Addr(), promoted.Addr(), old.Running())
	}
	must(t, poll(ctx, func(ctx context.Context) error { return c.Get(ctx, "k").Err() }))
	must(t, old.Start(ctx))
	must(t, cluster.WaitOK(ctx))
	must(t, poll(ctx, func(ctx context.Context) error { return old.expect(ctx, "replication", "role", "slave") }))
}

// acknowledged succeeds when a replica has everything that s has written.
func acknowledged(ctx context.Context, s *RedisServer) error {
	offset, err := s.field(ctx, "replication", "master_repl_offset")
	if err != nil {
		return err
	}
	replica, err := s.field(ctx, "replication", "slave0")
	if err == nil && !strings.Contains(replica, "offset="+offset+",") {
		err = fmt.Errorf("the replica has not reached the offset %s: %s", offset, replica)
	}
	return err
}
