package rpccases

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

// directoryCases are about providers that keep the addresses of servers.
var directoryCases = []suite.Case{
	{
		Name: "rpc/directory-plain", Needs: []fairlead.Claim{rpc.Directory},
		Rule: "an ordinary gRPC client reaches a server at its registered address",
		Run:  directoryPlain,
	},
	{
		Name: "rpc/directory-watch", Needs: []fairlead.Claim{rpc.Directory},
		Rule: "a watcher sees at once the endpoints of its service, each once and sorted, and soon the endpoints that are added and removed",
		Run:  directoryWatch,
	},
	{
		Name: "rpc/directory-watchers", Needs: []fairlead.Claim{rpc.Directory},
		Rule: "each of ten watchers sees every endpoint that is added; Next waits while nothing changes, and ends with its context and with Close",
		Run:  directoryWatchers,
	},
	{
		Name: "rpc/directory-ended", Needs: []fairlead.Claim{rpc.Directory},
		Rule: "a watcher shows nothing to a Next whose context has ended, and nothing after Close, also if the endpoints have changed",
		Run:  directoryEnded,
	},
	{
		Name: "rpc/directory-lease", Needs: []fairlead.Claim{rpc.Directory}, Timeout: 2 * time.Minute,
		Rule: "an endpoint whose registration is not kept vanishes within 30 seconds; an endpoint that is kept stays",
		Run:  directoryLease,
	},
}

func directoryOf(t *suite.T) driver.Directory {
	d, ok := t.Provider().(driver.Directory)
	if !ok {
		t.Fatalf("the provider claims %s and does not implement it", rpc.Directory)
	}
	return d
}

func directoryPlain(t *suite.T) {
	name := t.Name()
	serve(t, t.Provider(), name, &service{})
	w := watchEndpoints(t, name)
	found, err := w.Next(t.PatientContext())
	t.Must(err)
	if len(found) != 1 {
		t.Fatalf("the endpoints of one server are %v", found)
	}
	conn, err := grpc.NewClient("passthrough:///"+found[0].Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	t.Must(err)
	t.Cleanup(func(context.Context) error { return conn.Close() })
	wantEcho(t, t.PatientContext(), pb.NewTestServiceClient(conn), "straight")
}

// watchEndpoints watches a service.
func watchEndpoints(t *suite.T, name string) driver.EndpointWatcher {
	w, err := directoryOf(t).WatchEndpoints(t.Context(), driver.WatchConfig{Service: name})
	t.Must(err)
	t.Cleanup(w.Close)
	return w
}

// registerAndKeep registers an address, and keeps it until it is closed.
func registerAndKeep(t *suite.T, name, address string) driver.Registration {
	r, err := directoryOf(t).Register(t.Context(), driver.RegisterConfig{Service: name, Endpoint: driver.Endpoint{Address: address}})
	t.Must(err)
	ctx, cancel := context.WithCancel(t.Context())
	kept := suite.RunInBackground(func() error { return r.Keep(ctx) })
	t.Cleanup(func(ctx context.Context) error {
		cancel()
		<-kept
		return r.Close(ctx)
	})
	return r
}

// waitForEndpoints demands that a watcher shows the addresses in time.
func waitForEndpoints(t *suite.T, w driver.EndpointWatcher, want ...string) {
	var got []string
	ctx := t.PatientContext()
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

// wantEndpoints demands that the next call of Next shows the addresses.
func wantEndpoints(t *suite.T, w driver.EndpointWatcher, want ...string) {
	now, err := w.Next(t.PatientContext())
	t.Must(err)
	var got []string
	for _, e := range now {
		got = append(got, e.Address)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the endpoints are %q, want %q", got, want)
	}
}

func directoryWatch(t *suite.T) {
	name := t.Name()
	registerAndKeep(t, name+"x", "10.0.0.9:9")
	wantEndpoints(t, watchEndpoints(t, name))
	second := registerAndKeep(t, name, "10.0.0.2:1")
	registerAndKeep(t, name, "10.0.0.1:1")
	again := registerAndKeep(t, name, "10.0.0.2:1")
	w := watchEndpoints(t, name)
	wantEndpoints(t, w, "10.0.0.1:1", "10.0.0.2:1")
	registerAndKeep(t, name, "unix:/run/a b;ü.sock")
	waitForEndpoints(t, w, "10.0.0.1:1", "10.0.0.2:1", "unix:/run/a b;ü.sock")
	t.Must(second.Close(t.Context()))
	t.Must(second.Close(t.Context()))
	wantEndpoints(t, watchEndpoints(t, name), "10.0.0.1:1", "10.0.0.2:1", "unix:/run/a b;ü.sock")
	t.Must(again.Close(t.Context()))
	waitForEndpoints(t, w, "10.0.0.1:1", "unix:/run/a b;ü.sock")
}

func directoryWatchers(t *suite.T) {
	name := t.Name()
	var watchers []driver.EndpointWatcher
	for range 10 {
		w := watchEndpoints(t, name)
		wantEndpoints(t, w)
		watchers = append(watchers, w)
	}
	quietly, cancel := context.WithTimeout(t.Context(), suite.Quiet)
	defer cancel()
	now, err := watchers[0].Next(quietly)
	t.WantCode(fmt.Sprintf("Next while nothing changes (%v)", now), err, fairlead.DeadlineExceeded)
	var want []string
	for i := range 3 {
		want = append(want, fmt.Sprintf("10.0.0.%d:1", i))
		registerAndKeep(t, name, want[i])
		for _, w := range watchers {
			waitForEndpoints(t, w, want...)
		}
	}
	waiting := suite.RunInBackground(func() error { _, err := watchers[0].Next(t.Context()); return err })
	t.Must(watchers[0].Close(t.Context()))
	t.WantEnd("Next when its watcher is closed", waiting, fairlead.Closed)
}

func directoryEnded(t *suite.T) {
	name := t.Name()
	w := watchEndpoints(t, name)
	wantEndpoints(t, w)
	registerAndKeep(t, name, "10.0.0.1:1")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, err := w.Next(ended)
	t.WantCode(fmt.Sprintf("Next with a context that has ended (%v)", late), err, fairlead.Canceled)
	t.Must(w.Close(t.Context()))
	for range 2 {
		late, err = w.Next(t.PatientContext())
		t.WantCode(fmt.Sprintf("Next of a closed watcher (%v)", late), err, fairlead.Closed)
	}
	t.Must(w.Close(t.Context()))
}

func directoryLease(t *suite.T) {
	name := t.Name()
	registerAndKeep(t, name, "10.0.0.1:1")
	w := watchEndpoints(t, name)
	wantEndpoints(t, w, "10.0.0.1:1")
	lost, err := directoryOf(t).Register(t.Context(), driver.RegisterConfig{Service: name, Endpoint: driver.Endpoint{Address: "10.0.0.2:1"}})
	t.Must(err)
	t.Cleanup(lost.Close)
	waitForEndpoints(t, w, "10.0.0.1:1", "10.0.0.2:1")
	ctx := t.Within(min(30*time.Second, 10*t.Patience()))
	now, err := w.Next(ctx)
	if err != nil || len(now) != 1 || now[0].Address != "10.0.0.1:1" {
		t.Errorf("after an endpoint lost its lease, the watcher shows %v, %v; want only the other endpoint", now, err)
	}
	quietly, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	now, err = w.Next(quietly)
	t.WantCode(fmt.Sprintf("an endpoint that is kept for longer than a lease (%v)", now), err, fairlead.DeadlineExceeded)
}
