package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

func init() { suites = append(suites, rpcDirectory) }

// rpcDirectory is providers that keep the addresses of servers.
var rpcDirectory = []Case{
	{
		Name: "rpc/directory-plain", Facet: fairlead.RPC, Needs: []fairlead.Claim{rpc.Directory},
		Rule: "an ordinary gRPC client reaches a server at the address that is registered",
		Run:  directoryPlain,
	},
	{
		Name: "rpc/directory-watch", Facet: fairlead.RPC, Needs: []fairlead.Claim{rpc.Directory},
		Rule: "a watcher sees at once the endpoints of its own service, each once and sorted, and soon those that come and go",
		Run:  directoryWatch,
	},
	{
		Name: "rpc/directory-watchers", Facet: fairlead.RPC, Needs: []fairlead.Claim{rpc.Directory},
		Rule: "each of ten watchers sees every endpoint that comes; Next waits while nothing changes, and ends with its context and with Close",
		Run:  directoryWatchers,
	},
	{
		Name: "rpc/directory-lease", Facet: fairlead.RPC, Needs: []fairlead.Claim{rpc.Directory}, Timeout: 2 * time.Minute,
		Rule: "an endpoint that nobody keeps vanishes within 30 seconds, one that is kept stays",
		Run:  directoryLease,
	},
}

func (t *T) directory() driver.Directory {
	d, ok := t.Provider().(driver.Directory)
	if !ok {
		t.Fatalf("the provider claims %s and does not implement it", rpc.Directory)
	}
	return d
}

func directoryPlain(t *T) {
	name := t.Name()
	t.serve(t.Provider(), name, &service{})
	w := t.endpoints(name)
	found, err := w.Next(t.patient())
	t.Must(err)
	if len(found) != 1 {
		t.Fatalf("the endpoints of one server are %v", found)
	}
	conn, err := grpc.NewClient("passthrough:///"+found[0].Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	t.Must(err)
	t.Cleanup(func(context.Context) error { return conn.Close() })
	t.echo(t.patient(), pb.NewTestServiceClient(conn), "straight")
}

// endpoints watches a service.
func (t *T) endpoints(name string) driver.EndpointWatcher {
	w, err := t.directory().WatchEndpoints(t.ctx, driver.WatchConfig{Service: name})
	t.Must(err)
	t.Cleanup(w.Close)
	return w
}

// enlist registers an address, and keeps it until it is closed.
func (t *T) enlist(name, address string) driver.Registration {
	r, err := t.directory().Register(t.ctx, driver.RegisterConfig{Service: name, Endpoint: driver.Endpoint{Address: address}})
	t.Must(err)
	ctx, cancel := context.WithCancel(t.ctx)
	kept := started(func() error { return r.Keep(ctx) })
	t.Cleanup(func(ctx context.Context) error {
		cancel()
		<-kept
		return r.Close(ctx)
	})
	return r
}

// shows demands that a watcher comes to show the addresses.
func (t *T) shows(w driver.EndpointWatcher, want ...string) {
	var got []string
	ctx := t.patient()
	for {
		now, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("want the endpoints %q, seen last %q: %v", want, got, err)
		}
		got = nil
		for _, e := range now {
			got = append(got, e.Address)
		}
		if slices.Equal(got, want) {
			return
		}
	}
}

// sees demands that the next look shows the addresses.
func (t *T) sees(w driver.EndpointWatcher, want ...string) {
	now, err := w.Next(t.patient())
	t.Must(err)
	var got []string
	for _, e := range now {
		got = append(got, e.Address)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the endpoints are %q, want %q", got, want)
	}
}

func directoryWatch(t *T) {
	name := t.Name()
	t.enlist(name+"x", "10.0.0.9:9")
	t.sees(t.endpoints(name))
	second := t.enlist(name, "10.0.0.2:1")
	t.enlist(name, "10.0.0.1:1")
	again := t.enlist(name, "10.0.0.2:1")
	w := t.endpoints(name)
	t.sees(w, "10.0.0.1:1", "10.0.0.2:1")
	t.enlist(name, "unix:/run/a b;ü.sock")
	t.shows(w, "10.0.0.1:1", "10.0.0.2:1", "unix:/run/a b;ü.sock")
	t.Must(second.Close(t.Context()))
	t.Must(second.Close(t.Context()))
	t.sees(t.endpoints(name), "10.0.0.1:1", "10.0.0.2:1", "unix:/run/a b;ü.sock")
	t.Must(again.Close(t.Context()))
	t.shows(w, "10.0.0.1:1", "unix:/run/a b;ü.sock")
}

func directoryWatchers(t *T) {
	name := t.Name()
	var watchers []driver.EndpointWatcher
	for range 10 {
		w := t.endpoints(name)
		t.sees(w)
		watchers = append(watchers, w)
	}
	quietly, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	now, err := watchers[0].Next(quietly)
	t.WantCode(fmt.Sprintf("Next while nothing changes (%v)", now), err, fairlead.DeadlineExceeded)
	var want []string
	for i := range 3 {
		want = append(want, fmt.Sprintf("10.0.0.%d:1", i))
		t.enlist(name, want[i])
		for _, w := range watchers {
			t.shows(w, want...)
		}
	}
	waiting := started(func() error { _, err := watchers[0].Next(t.Context()); return err })
	t.Must(watchers[0].Close(t.Context()))
	t.wantSoon("Next when its watcher is closed", waiting, fairlead.Closed)
}

func directoryLease(t *T) {
	name := t.Name()
	t.enlist(name, "10.0.0.1:1")
	w := t.endpoints(name)
	t.sees(w, "10.0.0.1:1")
	lost, err := t.directory().Register(t.Context(), driver.RegisterConfig{Service: name, Endpoint: driver.Endpoint{Address: "10.0.0.2:1"}})
	t.Must(err)
	t.Cleanup(lost.Close)
	t.shows(w, "10.0.0.1:1", "10.0.0.2:1")
	ctx := t.Within(min(30*time.Second, 10*t.Patience()))
	now, err := w.Next(ctx)
	if err != nil || len(now) != 1 || now[0].Address != "10.0.0.1:1" {
		t.Errorf("an endpoint that nobody keeps: the next that is shown is %v, %v; want the other one alone", now, err)
	}
	quietly, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	now, err = w.Next(quietly)
	t.WantCode(fmt.Sprintf("an endpoint that is kept for longer than a lease (%v)", now), err, fairlead.DeadlineExceeded)
}
