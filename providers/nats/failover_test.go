package nats_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fairlead.dev/internal/dev/checkreport"
	"fairlead.dev/internal/dev/failover"
	"fairlead.dev/internal/dev/testbed"
)

// TestKilledLeadersLoseNothingAcknowledged kills the store's leader and the
// topic's leader in turns, while programs publish, count and watch.
func TestKilledLeadersLoseNothingAcknowledged(t *testing.T) {
	group := testbed.NATSCluster(t, 3)
	streams := []string{"fairlead-kv-failover", "fairlead-ps-failover"}
	failover.Run(t, clusterURL(group), failover.Usual(func(ctx context.Context) error {
		streams[0], streams[1] = streams[1], streams[0]
		old, _, err := group.KillStreamLeader(ctx, streams[0])
		if err != nil {
			return err
		}
		return errors.Join(old.Start(ctx), group.WaitOK(ctx))
	}))
}

// TestConformanceWhileLeadersAreKilled runs the suite while leaders are killed:
// each server leads some of the suite's streams.
func TestConformanceWhileLeadersAreKilled(t *testing.T) {
	group := testbed.NATSCluster(t, 3)
	failover.Suite(t, checkreport.Opener(clusterURL(group)), 5*time.Second, func(ctx context.Context) error {
		old, _, err := group.KillLeader(ctx)
		if err != nil {
			return err
		}
		return errors.Join(old.Start(ctx), group.WaitOK(ctx))
	})
}
