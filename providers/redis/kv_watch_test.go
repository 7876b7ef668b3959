package redis_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
	rpc "fairlead.dev/rpc/driver"
)

// finalError returns the error with which a watcher ends. It checks that the next
// call returns the same error.
func finalError(t *testing.T, w driver.Watcher) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		events, err := w.Next(ctx)
		if err == nil || fairlead.CodeOf(err) == fairlead.Unavailable {
			t.Logf("before the end: %s %v", formatEvents(events), err)
			continue
		}
		if _, again := w.Next(ctx); again != err {
			t.Errorf("the second error differs: %v, then %v", err, again)
		}
		return err
	}
}

func TestWatchResumesWithoutGap(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "watch")
	w := watch(t, s, driver.WatchRequest{Prefix: "a"})
	var writers sync.WaitGroup
	const each, writing = 200, 4
	for n := range writing {
		writers.Go(func() {
			for i := range each {
				s.Do(t.Context(), []driver.Op{
					{Kind: driver.OpPut, Key: fmt.Sprint("a", n), Value: fmt.Append(nil, i)},
					{Kind: driver.OpPut, Key: fmt.Sprint("b", n)},
				})
			}
		})
	}
	counts := map[string]int{}
	for range each * writing {
		e := nextEvents(t, w, 1)
		for _, e := range e {
			if string(e.Value) != fmt.Sprint(counts[e.Key]) {
				t.Fatalf("%s: got %s after %d", e.Key, e.Value, counts[e.Key])
			}
			counts[e.Key]++
		}
		// A new watcher continues after the last event, every time.
		w = watch(t, s, driver.WatchRequest{Prefix: "a", After: e[len(e)-1].Revision})
		if total := counts["a0"] + counts["a1"] + counts["a2"] + counts["a3"]; total == each*writing {
			break
		}
	}
	writers.Wait()
	if len(counts) != writing || counts["a0"] != each || counts["a3"] != each {
		t.Errorf("counts %v", counts)
	}
}

func TestWatchReportsATrimmedHistory(t *testing.T) {
	p := open(t, testbed.Redis(t).URL()+"?watch-history=10")
	s := openStore(t, p, "watch")
	slow := watch(t, s, driver.WatchRequest{})
	first := mustPut(t, s, "k", "0", 0)
	for i := range 500 {
		mustPut(t, s, "k", fmt.Sprint(i), 0)
	}
	check.Code(t, finalError(t, slow), fairlead.Compacted)
	_, err := s.Watch(t.Context(), driver.WatchRequest{After: first})
	check.Code(t, err, fairlead.Compacted)
	for _, rev := range []driver.Revision{"x", "1", "1-2-3", "0-1 "} {
		_, err = s.Watch(t.Context(), driver.WatchRequest{After: rev})
		check.Code(t, err, fairlead.Invalid)
	}
}

func TestWatchReportsALostStore(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, server *testbed.RedisServer, p driver.Provider) error{
		"flushed": func(t *testing.T, server *testbed.RedisServer, _ driver.Provider) error {
			return testbed.RedisClient(t, server).FlushAll(t.Context()).Err()
		},
		"deleted": func(t *testing.T, _ *testbed.RedisServer, p driver.Provider) error {
			return p.DeleteStore(t.Context(), "watch")
		},
		"flushed and written again": func(t *testing.T, server *testbed.RedisServer, p driver.Provider) error {
			err := testbed.RedisClient(t, server).FlushAll(t.Context()).Err()
			mustPut(t, openStore(t, p, "watch"), "k", "again", 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := testbed.Redis(t)
			p := open(t, server.URL())
			s := openStore(t, p, "watch")
			w := watch(t, s, driver.WatchRequest{})
			mustPut(t, s, "k", "1", 0)
			nextEvents(t, w, 1)
			if err := lose(t, server, p.(driver.Provider)); err != nil {
				t.Fatal(err)
			}
			check.Code(t, finalError(t, w), fairlead.Compacted)
			if names, err := p.(driver.Provider).Stores(t.Context(), ""); err != nil || len(names) > 1 {
				t.Errorf("stores %q, %v", names, err)
			}
		})
	}
}

func TestWatchReportsWritesThatARestartLost(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisConf("appendonly no"))
	c := testbed.RedisClient(t, server)
	s := openStore(t, open(t, server.URL()), "watch")
	w := watch(t, s, driver.WatchRequest{})
	mustPut(t, s, "k", "saved", 0)
	if err := c.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "k", "lost", 0)
	nextEvents(t, w, 2)
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "a write after the restart", func() bool {
		return doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k", Value: []byte("after")}).Err == nil
	})
	check.Code(t, finalError(t, w), fairlead.Compacted)
}

func TestWatchSurvivesRestart(t *testing.T) {
	server := testbed.Redis(t)
	s := openStore(t, open(t, server.URL()), "watch")
	w := watch(t, s, driver.WatchRequest{})
	mustPut(t, s, "k", "1", 0)
	nextEvents(t, w, 1)
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := w.Next(t.Context())
	check.Code(t, err, fairlead.Unavailable)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustPut(t, openStore(t, open(t, server.URL()), "watch"), "k", "2", 0)
	for {
		events, err := w.Next(t.Context())
		if fairlead.CodeOf(err) == fairlead.Unavailable {
			continue
		}
		if err != nil || formatEvents(events) != "Pk=2" {
			t.Errorf("events %q, %v", formatEvents(events), err)
		}
		return
	}
}

func TestCloseEndsAWaitingWatcher(t *testing.T) {
	for name, end := range map[string]func(w driver.Watcher, s driver.Store, p fairlead.Provider) error{
		"watcher": func(w driver.Watcher, _ driver.Store, _ fairlead.Provider) error {
			return w.Close(context.Background())
		},
		"store": func(_ driver.Watcher, s driver.Store, _ fairlead.Provider) error {
			return s.Close(context.Background())
		},
		"provider": func(_ driver.Watcher, _ driver.Store, p fairlead.Provider) error {
			return p.Close(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, testbed.Redis(t).URL())
			s := openStore(t, p, "watch")
			w := watch(t, s, driver.WatchRequest{})
			result := make(chan error)
			go func() {
				_, err := w.Next(context.Background())
				result <- err
			}()
			time.Sleep(50 * time.Millisecond) // lets it wait; the result is the same if it does not
			start := time.Now()
			if err := end(w, s, p); err != nil {
				t.Fatal(err)
			}
			check.Code(t, <-result, fairlead.Closed)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
}

func TestKVLeavesNothingBehind(t *testing.T) {
	server := testbed.Redis(t)
	before := goleak.IgnoreCurrent()
	p, err := fairlead.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, p, "leak")
	w := watch(t, s, driver.WatchRequest{})
	mustPut(t, s, "k", "1", time.Hour)
	ended := make(chan error)
	go func() {
		for {
			if _, err := w.Next(context.Background()); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	check.Code(t, <-ended, fairlead.Closed)
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpGet, Key: "k"}).Err, fairlead.Closed)
	goleak.VerifyNone(t, before)
	_, err = p.Describe(t.Context())
	check.Code(t, err, fairlead.Closed)
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// A wait that ends with its context says so, also if the server noticed it first.
func TestNextThatEndsWithItsContext(t *testing.T) {
	p := open(t, testbed.Redis(t).URL())
	w := watch(t, openStore(t, p, "idle"), driver.WatchRequest{})
	e, err := p.(rpc.Directory).WatchEndpoints(t.Context(), rpc.WatchConfig{Service: "idle"})
	check.NoError(t, err)
	nextEndpoints(t, e, 0)
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%10)*time.Millisecond)
		if i%2 == 0 {
			_, err = w.Next(ctx)
		} else {
			_, err = e.Next(ctx)
		}
		if fairlead.CodeOf(err) != fairlead.DeadlineExceeded || fairlead.ContextError(ctx) == nil {
			t.Errorf("%v; the context: %v", err, ctx.Err())
		}
		cancel()
	}
}

// A watch waits on a server that answers reads and refuses writes.
func TestWatchWhileWritesAreRefused(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	p := open(t, server.URL())
	s := openStore(t, p, "s")
	w := watch(t, s, driver.WatchRequest{})
	configSet(t, c, "min-replicas-to-write", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // longer than the retries
	defer cancel()
	_, err := w.Next(ctx)
	check.Code(t, err, fairlead.DeadlineExceeded)
	check.Code(t, doOne(t, s, driver.Op{Kind: driver.OpPut, Key: "k"}).Err, fairlead.Unavailable)
	configSet(t, c, "min-replicas-to-write", "0")
	mustPut(t, s, "k", "1", 0)
	if got := formatEvents(nextEvents(t, w, 1)); got != "Pk=1" {
		t.Errorf("events %q", got)
	}
}
