package etcd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/failover"
	"fairlead.dev/internal/dev/testbed"
)

// TestKilledLeadersLoseNothingAcknowledged repeatedly kills the leader of three
// members, while programs publish, count and watch.
func TestKilledLeadersLoseNothingAcknowledged(t *testing.T) {
	cluster := testbed.EtcdCluster(t, 3)
	failover.Run(t, cluster.URL(), failover.Usual(func(ctx context.Context) error {
		old, _, err := cluster.KillLeader(ctx)
		if err != nil {
			return err
		}
		return errors.Join(old.Start(ctx), cluster.WaitOK(ctx))
	}))
}

// TestConformanceWhileLeadersAreKilled runs the suite while leaders are killed.
func TestConformanceWhileLeadersAreKilled(t *testing.T) {
	cluster := testbed.EtcdCluster(t, 3)
	failover.Suite(t, checkreport.Opener(cluster.URL()), 5*time.Second, func(ctx context.Context) error {
		old, _, err := cluster.KillLeader(ctx)
		if err != nil {
			return err
		}
		return errors.Join(old.Start(ctx), cluster.WaitOK(ctx))
	})
}
