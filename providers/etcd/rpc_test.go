package etcd_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

const target = "fairlead/rpc/greeter" // of the service "greeter"

func etcdClient(t *testing.T, server *testbed.EtcdServer) *clientv3.Client {
	t.Helper()
	c, err := server.Client()
	check.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// register registers an address, and keeps it registered until the test ends.
func register(t *testing.T, p fairlead.Provider, address string) driver.Registration {
	t.Helper()
	var r driver.Registration
	check.Eventually(t, "the address is registered", func() (ok bool) {
		var err error
		r, err = p.(driver.Directory).Register(t.Context(), driver.RegisterConfig{Service: "greeter", Endpoint: driver.Endpoint{Address: address}})
		if err != nil {
			check.Code(t, err, fairlead.Unavailable)
		}
		return err == nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil && fairlead.CodeOf(r.Keep(ctx)) == fairlead.Unavailable {
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = r.Close(context.Background())
	})
	return r
}

func watchEndpoints(t *testing.T, p fairlead.Provider) driver.EndpointWatcher {
	t.Helper()
	w, err := p.(driver.Directory).WatchEndpoints(t.Context(), driver.WatchConfig{Service: "greeter"})
	check.NoError(t, err)
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

// wantEndpoints waits until a watcher shows the addresses.
func wantEndpoints(t *testing.T, w driver.EndpointWatcher, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		found, err := w.Next(ctx)
		if fairlead.CodeOf(err) == fairlead.Unavailable {
			continue
		}
		check.NoError(t, err)
		var got []string
		for _, e := range found {
			got = append(got, e.Address)
		}
		if slices.Equal(got, want) {
			return
		}
		t.Logf("not yet: %q", got)
	}
}

// keys returns the keys of the service, and the lease of its last key.
func keys(t *testing.T, c *clientv3.Client) (keys []string, lease clientv3.LeaseID) {
	t.Helper()
	r, err := c.Get(t.Context(), target+"/", clientv3.WithPrefix())
	check.NoError(t, err)
	for _, kv := range r.Kvs {
		keys, lease = append(keys, string(kv.Key)), clientv3.LeaseID(kv.Lease)
	}
	return keys, lease
}

// The provider writes and reads the layout of etcd's own naming.
func TestEndpointsAreThoseOfEtcdsNaming(t *testing.T) {
	server := testbed.Etcd(t)
	client := etcdClient(t, server)
	p := open(t, server.URL())
	manager, err := endpoints.NewManager(client, target)
	check.NoError(t, err)
	check.NoError(t, manager.AddEndpoint(t.Context(), target+"/theirs", endpoints.Endpoint{Addr: "10.0.0.2:1", Metadata: map[string]int{"weight": 3}}))
	_, err = client.Put(t.Context(), target+"/odd", "what is this?")
	check.NoError(t, err)
	register(t, p, "10.0.0.1:1")
	wantEndpoints(t, watchEndpoints(t, p), "10.0.0.1:1", "10.0.0.2:1")

	found, err := manager.List(t.Context())
	check.NoError(t, err)
	var got []string
	for key, e := range found {
		if !strings.HasPrefix(key, target+"/") {
			t.Errorf("the key %q", key)
		}
		got = append(got, e.Addr)
	}
	slices.Sort(got)
	if want := []string{"10.0.0.1:1", "10.0.0.2:1"}; !slices.Equal(got, want) {
		t.Errorf("etcd's naming finds %q, want %q", got, want)
	}
}

// A program that uses only etcd's resolver reaches the server.
func TestEtcdsResolverFindsServers(t *testing.T) {
	server := testbed.Etcd(t)
	srv, err := rpc.NewServer(t.Context(), open(t, server.URL()), "greeter")
	check.NoError(t, err)
	check.NoError(t, srv.Listen(t.Context()))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	builder, err := resolver.NewBuilder(etcdClient(t, server))
	check.NoError(t, err)
	conn, err := grpc.NewClient("etcd:///"+target, grpc.WithResolvers(builder), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	check.NoError(t, err)
	check.NoError(t, conn.Close())
	check.NoError(t, srv.Close(ctx))
	check.NoError(t, <-served)
}

// A registration that the backend has lost is made again under another lease.
func TestLostRegistrationIsMadeAnew(t *testing.T) {
	server := testbed.Etcd(t)
	client := etcdClient(t, server)
	p := open(t, server.URL()+"?rpc-lease=2s")
	r := register(t, p, "10.0.0.1:1")
	w := watchEndpoints(t, p)
	wantEndpoints(t, w, "10.0.0.1:1")
	for what, lose := range map[string]func(key string, lease clientv3.LeaseID) error{
		"the lease": func(_ string, lease clientv3.LeaseID) error { _, err := client.Revoke(t.Context(), lease); return err },
		"the key":   func(key string, _ clientv3.LeaseID) error { _, err := client.Delete(t.Context(), key); return err },
	} {
		old, lease := keys(t, client)
		if len(old) != 1 || lease == 0 {
			t.Fatalf("the keys are %q, with the lease %d", old, lease)
		}
		t.Logf("losing %s", what)
		check.NoError(t, lose(old[0], lease))
		check.Eventually(t, "the same key under another lease", func() bool {
			again, other := keys(t, client)
			return slices.Equal(again, old) && other != lease
		})
		wantEndpoints(t, watchEndpoints(t, p), "10.0.0.1:1")
	}
	check.NoError(t, r.Close(t.Context()))
	wantEndpoints(t, w)
	check.Eventually(t, "no lease is left", func() bool {
		left, err := client.Leases(t.Context())
		return err == nil && len(left.Leases) == 0
	})
}

// A watcher needs no history, and continues after a restart.
func TestEndpointWatcherOverCompactionAndRestart(t *testing.T) {
	server := testbed.Etcd(t)
	client := etcdClient(t, server)
	p := open(t, server.URL())
	w := watchEndpoints(t, p)
	wantEndpoints(t, w)
	first := register(t, p, "10.0.0.1:1")
	register(t, p, "10.0.0.2:1")
	check.NoError(t, first.Close(t.Context()))
	now, err := client.Get(t.Context(), "x")
	check.NoError(t, err)
	_, err = client.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical())
	check.NoError(t, err)
	wantEndpoints(t, w, "10.0.0.2:1") // its last read is older than the history

	check.NoError(t, server.Kill(t.Context()))
	_, err = w.Next(t.Context())
	check.Code(t, err, fairlead.Unavailable)
	check.NoError(t, server.Start(t.Context()))
	register(t, p, "10.0.0.3:1")
	wantEndpoints(t, w, "10.0.0.2:1", "10.0.0.3:1")
	check.NoError(t, w.Close(t.Context()))
	_, err = w.Next(t.Context())
	check.Code(t, err, fairlead.Closed)
}

// A registration that was given up while it was on its way is taken back, long before
// its lease ends. So is one whose Close was given up.
func TestGivenUpRegistrationIsTakenBack(t *testing.T) {
	server := testbed.Etcd(t)
	c := etcdClient(t, server)
	p := open(t, server.URL()+"?rpc-lease=1h")
	directory := p.(driver.Directory)
	r, err := directory.Register(t.Context(), driver.RegisterConfig{Service: "greeter", Endpoint: driver.Endpoint{Address: "127.0.0.1:1"}})
	check.NoError(t, err)
	check.NoError(t, server.Pause(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	check.Code(t, r.Close(ctx), fairlead.DeadlineExceeded)
	check.NoError(t, server.Continue(t.Context()))
	check.Eventually(t, "no key, and no lease", func() bool {
		keys, err := c.Get(t.Context(), target, clientv3.WithPrefix(), clientv3.WithCountOnly())
		check.NoError(t, err)
		leases, err := c.Leases(t.Context())
		check.NoError(t, err)
		return keys.Count == 0 && len(leases.Leases) == 0
	})
}
