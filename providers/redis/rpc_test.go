package redis_test

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/rpc/driver"
)

func nextEndpoints(t *testing.T, w driver.EndpointWatcher, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		got, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == want {
			return
		}
	}
}

func TestLeastPermissionsOfRPC(t *testing.T) {
	server := startForLeastUser(t, "every facet", "rpc")
	p := open(t, server.URLFor("least", "pw")).(driver.Directory)
	w, err := p.WatchEndpoints(t.Context(), driver.WatchConfig{Service: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 0)
	r, err := p.Register(t.Context(), driver.RegisterConfig{Service: "echo", Endpoint: driver.Endpoint{Address: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 1)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 0)
	check.Code(t, r.Keep(t.Context()), fairlead.Closed)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.Next(t.Context())
	check.Code(t, err, fairlead.Closed)
}

// While the server is away, Next and Keep report it after some retries, and can
// be called again.
func TestRPCWhileTheServerIsAway(t *testing.T) {
	server := testbed.Redis(t)
	p := open(t, server.URL()).(driver.Directory)
	r, err := p.Register(t.Context(), driver.RegisterConfig{Service: "echo", Endpoint: driver.Endpoint{Address: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.WatchEndpoints(t.Context(), driver.WatchConfig{Service: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 1)
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.Next(t.Context())
	check.Code(t, err, fairlead.Unavailable)
	check.Code(t, r.Keep(t.Context()), fairlead.Unavailable)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	nextEndpoints(t, w, 0)
}
