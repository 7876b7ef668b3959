package dapr_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

func openSource(t *testing.T, p fairlead.Provider, name string) driver.Source {
	t.Helper()
	s, err := p.(driver.Provider).OpenSource(t.Context(), driver.SourceConfig{Name: name})
	check.NoError(t, err)
	t.Cleanup(func() { check.NoError(t, s.Close(context.Background())) })
	return s
}

func texts(s driver.Snapshot) map[string]string {
	all := map[string]string{}
	for key, v := range s.Values {
		all[key] = string(v.Data)
	}
	return all
}

// settings starts a sidecar on a Redis that holds settings.
func settings(t *testing.T) (*testbed.RedisServer, *testbed.DaprSidecar, *redis.Client) {
	t.Helper()
	server := testbed.Redis(t)
	return server, testbed.Dapr(t, testbed.DaprRedis(server.Addr())), testbed.RedisClient(t, server)
}

func set(t *testing.T, c *redis.Client, pairs ...any) {
	t.Helper()
	check.Eventually(t, "a write to Redis", func() bool { return c.MSet(t.Context(), pairs...).Err() == nil })
}

func TestSnapshot(t *testing.T) {
	_, sidecar, client := settings(t)
	p := open(t, sidecar.URL()+"?pubsub=-")
	put(t, openStore(t, p, "other"), "app", "no setting") // in the same database
	s := openSource(t, p, "app")
	none, err := s.Snapshot(t.Context())
	check.NoError(t, err)
	if none.Version == "" || len(none.Values) != 0 {
		t.Errorf("%+v", none)
	}
	set(t, client, "app/a", "1", "app/b.c", "2||v7", "app2/a", "x", "application/a", "x", "app/", "x", "app", "x", "app/empty", "")
	got, err := s.Snapshot(t.Context())
	check.NoError(t, err)
	if want := map[string]string{"a": "1", "b.c": "2"}; !maps.Equal(texts(got), want) || got.Values["b.c"].Version != "v7" {
		t.Errorf("%+v", got)
	}
	again, err := s.Snapshot(t.Context())
	check.NoError(t, err)
	if again.Version != got.Version || again.Version == none.Version {
		t.Errorf("the versions are %q, %q, and %q when there was nothing", got.Version, again.Version, none.Version)
	}
	other, err := openSource(t, open(t, sidecar.URL()+"?pubsub=-"), "app").Snapshot(t.Context())
	check.NoError(t, err)
	if other.Version != got.Version {
		t.Errorf("another Open has the version %q with %q", other.Version, texts(other))
	}
	_, err = s.Set(t.Context(), []driver.Change{{Key: "a"}})
	check.Code(t, err, fairlead.Unsupported)
}

// next waits for the snapshot in which a key has a value.
func next(t *testing.T, s driver.Source, version, key, value string) driver.Snapshot {
	t.Helper()
	var state driver.Snapshot
	check.Eventually(t, key+" = "+value, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := s.Next(ctx, version)
		if err != nil {
			t.Logf("Next: %v", err)
			return false
		}
		state, version = got, got.Version
		return texts(got)[key] == value
	})
	return state
}

// changeWhileWaiting changes a setting, most likely while Next waits. It repeats
// that until Next returns, and returns the snapshot that Next returned.
func changeWhileWaiting(t *testing.T, s driver.Source, c *redis.Client, version, value string) driver.Snapshot {
	t.Helper()
	done := make(chan driver.Snapshot, 1)
	go func() {
		got, err := s.Next(t.Context(), version)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	for range 100 {
		select {
		case got := <-done:
			if texts(got)["a"] != value {
				t.Errorf("%q, want %s", texts(got), value)
			}
			return got
		case <-time.After(100 * time.Millisecond):
			set(t, c, "app/a", value)
		}
	}
	t.Fatalf("Next does not notice that the setting is %s", value)
	return driver.Snapshot{}
}

// TestNextIsTold: the component notifies the provider of changes, so that Next
// does not wait for the next poll.
func TestNextIsTold(t *testing.T) {
	_, sidecar, client := settings(t)
	s := openSource(t, open(t, sidecar.URL()+"?pubsub=-&config-poll=1m"), "app")
	set(t, client, "app/a", "0")
	state := next(t, s, "", "a", "0")
	for _, value := range []string{"1", "2"} {
		state = changeWhileWaiting(t, s, client, state.Version, value)
	}
}

// TestNextPolls: Redis is configured to send no notifications, and the component
// does not notice that.
func TestNextPolls(t *testing.T) {
	_, sidecar, client := settings(t)
	s := openSource(t, open(t, sidecar.URL()+"?pubsub=-&config-poll=200ms"), "app")
	set(t, client, "app/a", "0")
	state := changeWhileWaiting(t, s, client, next(t, s, "", "a", "0").Version, "1") // by then it has subscribed
	check.Eventually(t, "the subscription of the component", func() bool {
		flags, err := client.ConfigGet(t.Context(), "notify-keyspace-events").Result()
		return err == nil && flags["notify-keyspace-events"] != ""
	})
	check.NoError(t, client.ConfigSet(t.Context(), "notify-keyspace-events", "").Err())
	for _, value := range []string{"2", "3", "4"} {
		state = changeWhileWaiting(t, s, client, state.Version, value)
	}
	check.NoError(t, client.Del(t.Context(), "app/a").Err())
	next(t, s, state.Version, "a", "")
}

// TestNextAcrossRestarts: of the sidecar and of Redis.
func TestNextAcrossRestarts(t *testing.T) {
	server, sidecar, client := settings(t)
	s := openSource(t, open(t, sidecar.URL()+"?pubsub=-&config-poll=200ms"), "app")
	set(t, client, "app/a", "0")
	state := next(t, s, "", "a", "0")
	for value, p := range map[string]interface {
		Kill(context.Context) error
		Start(context.Context) error
	}{"1": sidecar, "2": server} {
		check.NoError(t, p.Kill(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := s.Next(ctx, state.Version)
		cancel()
		check.Code(t, err, fairlead.Unavailable)
		check.NoError(t, p.Start(t.Context()))
		set(t, client, "app/a", value)
		state = next(t, s, state.Version, "a", value)
	}
}

// TestNextEnds: with its context, with the source and with the provider.
func TestNextEnds(t *testing.T) {
	_, sidecar, client := settings(t)
	p, err := fairlead.Open(t.Context(), sidecar.URL()+"?pubsub=-")
	check.NoError(t, err)
	s, other := openSource(t, p, "app"), openSource(t, p, "app")
	set(t, client, "app/a", "1")
	state := next(t, s, "", "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	ends := []struct {
		of   driver.Source
		end  func()
		want fairlead.Code
	}{
		{s, cancel, fairlead.Canceled},
		{s, func() { check.NoError(t, s.Close(t.Context())) }, fairlead.Closed},
		{other, func() { check.NoError(t, p.Close(t.Context())) }, fairlead.Closed},
	}
	for _, e := range ends {
		done := make(chan error, 1)
		go func() {
			_, err := e.of.Next(ctx, state.Version)
			done <- err
		}()
		e.end()
		select {
		case err := <-done:
			check.Code(t, err, e.want)
		case <-time.After(5 * time.Second):
			t.Errorf("Next continues where it should return %v", e.want)
		}
		ctx = t.Context()
	}
	if keys := slices.Collect(maps.Keys(state.Values)); len(keys) != 1 {
		t.Errorf("%q", keys)
	}
}

// TestForeignSettings: a setting that the component cannot read causes an error;
// it is not left out silently.
func TestForeignSettings(t *testing.T) {
	_, sidecar, client := settings(t)
	s := openSource(t, open(t, sidecar.URL()+"?pubsub=-"), "app")
	set(t, client, "app/a", "1", "elsewhere", "\xff")
	_, err := s.Snapshot(t.Context())
	check.Code(t, err, fairlead.Unavailable)
	check.NoError(t, client.Del(t.Context(), "elsewhere").Err())
	state, err := s.Snapshot(t.Context())
	check.NoError(t, err)
	if texts(state)["a"] != "1" {
		t.Errorf("%q", texts(state))
	}
}
