package testbed

import (
	"io"
	"testing"
)

// Etcd starts one etcd that stops at the end of the test. See StartEtcd.
func Etcd(tb testing.TB, opts ...EtcdOption) *EtcdServer {
	tb.Helper()
	s, err := StartEtcd(tb.Context(), opts...)
	return started(tb, s, err)
}

// EtcdCluster starts an etcd cluster of n members that stops at the end of the
// test. See StartEtcdCluster.
func EtcdCluster(tb testing.TB, n int, opts ...EtcdOption) *EtcdGroup {
	tb.Helper()
	g, err := StartEtcdCluster(tb.Context(), n, opts...)
	return started(tb, g, err)
}

// NATS starts one nats-server with JetStream that stops at the end of the test.
// See StartNATS.
func NATS(tb testing.TB, opts ...NATSOption) *NATSServer {
	tb.Helper()
	s, err := StartNATS(tb.Context(), opts...)
	return started(tb, s, err)
}

// NATSCluster starts a cluster of n nats-servers that stops at the end of the
// test. See StartNATSCluster.
func NATSCluster(tb testing.TB, n int, opts ...NATSOption) *NATSGroup {
	tb.Helper()
	g, err := StartNATSCluster(tb.Context(), n, opts...)
	return started(tb, g, err)
}

// Dapr starts one Dapr sidecar that stops at the end of the test. See StartDapr.
func Dapr(tb testing.TB, opts ...DaprOption) *DaprSidecar {
	tb.Helper()
	s, err := StartDapr(tb.Context(), opts...)
	return started(tb, s, err)
}

// started stops the test when a server could not be started, and closes it at
// the test's end.
func started[S io.Closer](tb testing.TB, s S, err error) S {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, s)
	return s
}
