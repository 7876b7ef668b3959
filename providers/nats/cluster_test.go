package nats_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/testbed"
	"fairlead.dev/providers"
)

func clusterURL(g *testbed.NATSGroup) string {
	return g.URL() + "?replicas=3&monitor=" + strings.Join(g.MonitorURLs(), ",")
}

// whole kills and starts all servers of a cluster at once.
type whole struct{ *testbed.NATSGroup }

func (w whole) Kill(ctx context.Context) error {
	var all error
	for _, s := range w.Nodes {
		all = errors.Join(all, s.Kill(ctx))
	}
	return all
}

func (w whole) Start(ctx context.Context) error {
	var all error
	for _, s := range w.Nodes {
		all = errors.Join(all, s.Start(ctx))
	}
	return errors.Join(all, w.WaitOK(ctx))
}

// TestConformanceCluster runs the suite on three servers with three replicas of
// everything, which are all killed on the way.
func TestConformanceCluster(t *testing.T) {
	group := testbed.NATSCluster(t, 3, testbed.NATSSync("always"))
	report := conformance.Test(t, opener(clusterURL(group)),
		conformance.WithControl(whole{group}), conformance.WithTransport("cluster"))
	wantProven(t, report)
	wantClaim(t, report, providers.DurableQuorum, conformance.Proven)
}
