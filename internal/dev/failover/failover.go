// Package failover puts load on a provider while the servers of its cluster are
// killed, and checks that no acknowledged operation is lost. It is for the tests
// of providers that have a cluster.
//
// Publishers publish. Clients read counters and increment them by CAS, and each
// call is recorded. When enough operations were acknowledged and enough servers
// were killed, the package demands that
//
//   - every message whose publication was acknowledged is delivered, and none
//     whose publication failed (one whose outcome is unknown may be);
//   - the calls of each counter have an order in which each happened at one
//     point in its duration: with the reads where the provider claims
//     LinearizableRead, otherwise without them;
//   - each counter has counted every increment that was acknowledged, and none
//     that failed;
//   - a watch from the beginning reaches the last state of each counter, and
//     shows every acknowledged state where WatchEvery is claimed.
//
// It also runs the conformance suite while leaders are killed.
package failover

import (
	"context"
	"flag"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// Load says how many operations must be acknowledged, and how often Kill is
// called meanwhile.
type Load struct {
	Publications int
	Increments   int
	Kills        int           // at least
	Every        time.Duration // between two kills
	Limit        time.Duration // of all
	// Kill kills a leading server, starts it again, and waits until all servers
	// serve.
	Kill func(ctx context.Context) error
}

var full = flag.Bool("failover.full", false, "make 50,000 publications and 20,000 increments instead of a twentieth, and run the whole suite instead of a sample")

// Usual is the load of a test of a cluster, whose leaders are killed every few
// seconds: a twentieth of what the flag -failover.full asks for.
func Usual(kill func(ctx context.Context) error) Load {
	l := Load{Publications: 2_500, Increments: 1_000, Kills: 2, Every: 3 * time.Second, Limit: 4 * time.Minute, Kill: kill}
	if *full {
		l.Publications, l.Increments, l.Kills, l.Limit = 50_000, 20_000, 10, 20*time.Minute
	}
	return l
}

const (
	publishers  = 16
	clients     = 8
	counters    = 64
	handles     = 3 // providers that the clients use
	callTimeout = 5 * time.Second
	// pauseAfter is the pause after a failed call: an election takes a while, and
	// calls that fail at once prove little.
	pauseAfter = 10 * time.Millisecond
)

// run is a Run under way.
type run struct {
	testing.TB
	load         Load
	stores       []*kv.Store
	topics       []*pubsub.Topic
	publications *publications
	history      *history
	killed       atomic.Int64
}

// Run opens the URL several times, puts the load on it, and checks the results.
func Run(t testing.TB, url string, load Load) {
	ctx, cancel := context.WithTimeout(t.Context(), load.Limit)
	defer cancel()
	r := &run{TB: t, load: load, publications: newPublications(), history: newHistory()}
	var sub *pubsub.Subscription
	var watcher *kv.Watcher
	for i := range handles {
		p, err := fairlead.Open(ctx, url)
		check.NoError(t, err)
		t.Cleanup(func() { _ = p.Close(context.Background()) })
		s, err := kv.Open(ctx, p, "failover")
		check.NoError(t, err)
		topic, err := pubsub.Open(ctx, p, "failover")
		check.NoError(t, err)
		r.stores, r.topics = append(r.stores, s), append(r.topics, topic)
		if i == 0 {
			sub, err = pubsub.Subscribe(ctx, p, "failover", pubsub.Group("g"))
			check.NoError(t, err)
			watcher, err = s.Watch(ctx, "counter")
			check.NoError(t, err)
		}
	}
	began := time.Now()
	r.applyLoad(ctx)
	loaded := time.Since(began)
	r.publications.verify(ctx, t, sub)
	r.history.verify(ctx, t, r.stores[0], watcher)
	t.Logf("%d publications (%d more failed, %d unknown) and %d increments (%d failed, %d unknown) in %.0f s, %d servers killed; verified in %.0f s",
		r.publications.acked(), r.publications.failed, r.publications.unknown, r.history.applied.Load(), r.history.failed, r.history.unknown,
		loaded.Seconds(), r.killed.Load(), time.Since(began).Seconds()-loaded.Seconds())
}

// applyLoad runs the publishers and the clients, and kills servers, until the load
// is done.
func (r *run) applyLoad(ctx context.Context) {
	var group sync.WaitGroup
	for i := range publishers {
		group.Go(func() { r.publish(ctx, i) })
	}
	for i := range clients {
		group.Go(func() { r.count(ctx, i) })
	}
	for !r.done() && ctx.Err() == nil {
		select {
		case <-time.After(r.load.Every):
		case <-ctx.Done():
		}
		if err := r.load.Kill(ctx); err != nil && ctx.Err() == nil {
			r.Errorf("killing: %v", err)
			break
		}
		r.killed.Add(1)
	}
	group.Wait()
	if ctx.Err() != nil {
		r.Fatalf("in %v, %d publications and %d increments were acknowledged, and %d servers killed",
			r.load.Limit, r.publications.acked(), r.history.applied.Load(), r.killed.Load())
	}
}

func (r *run) killedEnough() bool { return r.killed.Load() >= int64(r.load.Kills) }

func (r *run) published() bool {
	return r.publications.acked() >= r.load.Publications && r.killedEnough()
}

func (r *run) counted() bool {
	return int(r.history.applied.Load()) >= r.load.Increments && r.killedEnough()
}

func (r *run) done() bool { return r.Failed() || r.published() && r.counted() }

// repeat repeats a call until enough returns true.
func (r *run) repeat(ctx context.Context, enough func() bool, call func(ctx context.Context, n int) error) {
	for n := 0; !enough() && !r.Failed() && ctx.Err() == nil; n++ {
		c, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(c, n)
		cancel()
		switch fairlead.CodeOf(err) {
		case 0, fairlead.Conflict:
		case fairlead.UnknownOutcome, fairlead.Unavailable, fairlead.DeadlineExceeded:
			time.Sleep(pauseAfter)
		default:
			if ctx.Err() == nil {
				r.Errorf("a call failed with an error that an outage cannot cause: %v", err)
			}
		}
	}
}
