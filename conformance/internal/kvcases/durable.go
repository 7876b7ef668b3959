package kvcases

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

var durabilities = []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum}

// durableCases show what a client can see of durability: the provider still
// makes the claim, and a kill loses nothing.
func durableCases() []suite.Case {
	var cases []suite.Case
	for _, claim := range durabilities {
		name := map[fairlead.Claim]string{fairlead.DurableFsync: "fsync", fairlead.DurableQuorum: "quorum"}[claim]
		cases = append(cases,
			newCase("durable-"+name, fmt.Sprintf("after acknowledged writes, the provider and a new Open, which probes again, still claim %s, and a store that requires it still works (a client cannot see stable storage itself)", claim), func(t *suite.T) { wantStillClaimed(t, claim) }, claim),
			newControlCase("kill-"+name, fmt.Sprintf("with the claim %s, a kill under 16 writers loses no acknowledged write, and applies none that failed", claim), func(t *suite.T) { killUnderWriters(t, true) }, claim))
	}
	return cases
}

func wantStillClaimed(t *suite.T, claim fairlead.Claim) {
	name := t.Name()
	s := t.StoreOf(t.Provider(), name, kv.Require(claim))
	keys := numberedKeys("k", 20)
	putAll(t, s, keys)
	for what, p := range map[string]fairlead.Provider{"the provider": t.Provider(), "a fresh Open": t.Open()} {
		d, err := p.Describe(t.Context())
		t.Must(err)
		if f, _ := d.Facet(fairlead.KV); !f.Has(claim) {
			t.Errorf("%s does not claim %s any more: %v", what, claim, f.Missing)
		}
	}
	wantFound(t, s, keys, func(string) bool { return true })
	if t.Facet().Has(fairlead.Shared) {
		wantFound(t, t.StoreOf(t.Open(), name, kv.Require(claim)), keys, func(string) bool { return true })
	}
}

// durable reports whether acknowledged writes must survive a kill.
func durable(t *suite.T) bool {
	return slices.ContainsFunc(durabilities, t.Facet().Has)
}

// killCases are the rules for a backend that is killed, whether durable or not.
var killCases = []suite.Case{
	newControlCase("kill-outcomes", "a write in progress during a kill is acknowledged, or is UnknownOutcome, or is never applied; afterwards the same handle works again", func(t *suite.T) { killUnderWriters(t, durable(t)) }),
	newControlCase("kill-reads", "while the backend is down no read answers that a key does not exist, and every call returns within about a second of its deadline", testKillReads),
	newControlCase("kill-revisions", "a key that survives a kill keeps its revision, and later writes get revisions that it never had", testKillRevisions),
	newControlCase("kill-watch", "a watch across a kill continues without loss or fails with Compacted; it never falls silent", testKillWatch, kv.Watch),
	newControlCase("kill-ttl", "a time to live keeps running while the backend is down: it neither ends early nor starts again", testKillTTL, kv.TTL),
}

// writers write one key after the other, each with the key as its value.
type writers struct {
	t             *suite.T
	store         *kv.Store
	acked, failed atomic.Int64

	mu      sync.Mutex
	keys    []string
	outcome []error
	stopped atomic.Bool
	group   sync.WaitGroup
}

func startWriters(t *suite.T, s *kv.Store, n int) *writers {
	w := &writers{t: t, store: s}
	for i := range n {
		w.group.Go(func() {
			for round := 0; !w.stopped.Load(); round++ {
				w.write(fmt.Sprintf("w%02d-%06d", i, round))
				time.Sleep(time.Millisecond) // so that their number stays small
			}
		})
	}
	return w
}

func (w *writers) write(key string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
	defer cancel()
	_, err := w.store.Put(ctx, key, []byte(key))
	if err != nil {
		w.failed.Add(1)
	} else {
		w.acked.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys, w.outcome = append(w.keys, key), append(w.outcome, err)
}

// waitForAcks waits for n more acknowledged writes.
func (w *writers) waitForAcks(n int64, when string) {
	want := w.acked.Load() + n
	w.t.Eventually(2*w.t.Patience(), fmt.Sprintf("%d writes are acknowledged %s the kill", n, when), func() bool { return w.acked.Load() >= want })
}

func (w *writers) stop() {
	w.stopped.Store(true)
	w.group.Wait()
}

// killUnderWriters kills and starts the backend under writers, and compares
// the results that they got with the stored values.
func killUnderWriters(t *suite.T, durable bool) {
	name := t.Name()
	s := t.StoreOf(t.Provider(), name)
	w := startWriters(t, s, 16)
	defer w.stop()
	w.waitForAcks(200, "before")
	t.Must(t.Control().Kill(t.Context()))
	t.WaitUntilDown(2*t.Patience(), func() bool { return w.failed.Load() >= 16 })
	t.Must(t.Control().Start(t.Context()))
	w.waitForAcks(200, "after")
	w.stop()
	outcome := slices.Clone(w.outcome)
	for i, err := range outcome {
		if err == nil && !durable {
			outcome[i] = fairlead.Errorf(fairlead.UnknownOutcome, "acknowledged, and not promised to survive")
		}
	}
	t.LookedFor(int(w.acked.Load()))
	wantOutcomes(t, s, w.keys, outcome)
	wantOutcomes(t, t.StoreOf(t.Provider(), name), w.keys, outcome)
}

// killUntilDown kills the backend and waits until calls fail.
func killUntilDown(t *suite.T, s *kv.Store) {
	t.Must(t.Control().Kill(t.Context()))
	t.WaitUntilDown(2*t.Patience(), func() bool {
		_, err := s.Get(t.Within(time.Second), "any")
		return err != nil && fairlead.CodeOf(err) != fairlead.NotFound
	})
}

// startUntilUp starts the backend and waits until the handle works again.
func startUntilUp(t *suite.T, s *kv.Store) {
	t.Must(t.Control().Start(t.Context()))
	t.Eventually(2*t.Patience(), "the handle works again after the start", func() bool {
		_, err := s.Put(t.Within(2*time.Second), "after the start", nil)
		return err == nil
	})
}

func testKillReads(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	killUntilDown(t, s)
	for _, c := range calls(t, rev) {
		ctx := t.Within(time.Second)
		wantReturn(t, c.name+" while the backend is down", 2*time.Second+2*spare, func() {
			switch code := fairlead.CodeOf(c.do(ctx, s)); code {
			case fairlead.Unavailable, fairlead.DeadlineExceeded:
			case fairlead.UnknownOutcome:
				if slices.Contains([]string{"Get", "GetMany", "ListPage", "Watch"}, c.name) {
					t.Errorf("%s, a read, answers %s", c.name, code)
				}
			case 0:
				if c.name != "Watch" { // its starting point may be known
					t.Errorf("%s succeeds while the backend is down", c.name)
				}
			default:
				t.Errorf("%s while the backend is down: %s, want unavailable", c.name, code)
			}
		})
	}
	startUntilUp(t, s)
	if _, err := s.Get(t.Context(), "k"); err != nil && durable(t) && fairlead.CodeOf(err) != fairlead.NotFound {
		t.Errorf("Get after the start: %v", err)
	}
}

func testKillRevisions(t *suite.T) {
	s := t.Store()
	seen := map[kv.Revision]bool{}
	var last kv.Revision
	for range 10 {
		last = put(t, s, "k", "v")
		seen[last] = true
	}
	killUntilDown(t, s)
	startUntilUp(t, s)
	e, err := s.Get(t.Context(), "k")
	if fairlead.CodeOf(err) == fairlead.NotFound && !durable(t) {
		t.Logf("the key did not survive, and was not promised to")
		return
	}
	t.Must(err)
	if e.Revision != last && durable(t) {
		t.Errorf("the key had the revision %q before the kill, and has %q after it", last, e.Revision)
	}
	for range 20 {
		rev := put(t, s, "k", "v")
		if seen[rev] {
			t.Errorf("a write after the kill has the revision %q, as one before it", rev)
		}
		seen[rev] = true
	}
}

func testKillWatch(t *suite.T) {
	s := t.Store()
	w := openWatcher(t, s, "k")
	keys := numberedKeys("k", 60)
	for _, key := range keys[:20] {
		put(t, s, key, key)
	}
	events := readEvents(t, w, 10)
	ended := make(chan error, 1)
	rest := make(chan []kv.Event, 1)
	ctx := t.Within(3 * t.Patience())
	go func() {
		more, err := readEventsThroughErrors(ctx, w, "k-end")
		rest <- more
		ended <- err
	}()
	killUntilDown(t, s)
	startUntilUp(t, s)
	for _, key := range keys[20:] {
		put(t, s, key, key)
	}
	put(t, s, "k-end", "")
	wantReturn(t, "reading events across a kill", 3*t.Patience()+2*time.Second, func() { events = append(events, <-rest...) })
	switch err := <-ended; fairlead.CodeOf(err) {
	case fairlead.Compacted:
		return
	case 0:
	default:
		t.Fatalf("the watch across the kill: got %s, and then %v", formatEvents(events), err)
	}
	for _, key := range keys {
		if !hasKey(events, key) && (durable(t) || key >= keys[20]) {
			t.Errorf("the watch continued without an error, and did not show the write of %s", key)
		}
	}
	if durable(t) && t.Facet().Has(kv.WatchEvery) {
		wantOnce(t, events[:len(events)-1], keys)
	}
}

// readEventsThroughErrors reads up to an event of a key, through passing errors.
func readEventsThroughErrors(ctx context.Context, w *kv.Watcher, last string) (all []kv.Event, err error) {
	for e, err := range w.All(ctx) {
		if err != nil {
			return all, err
		}
		if all = append(all, e); e.Key == last {
			return all, nil
		}
	}
	return all, ctx.Err()
}

func testKillTTL(t *suite.T) {
	s := t.Store()
	short := exactTTL(t, time.Second)
	long := exactTTL(t, latestExpiry(t, short)+3*time.Second)
	began := time.Now()
	put(t, s, "short", "1", kv.WithTTL(short))
	put(t, s, "long", "1", kv.WithTTL(long))
	put(t, s, "kept", "1", kv.WithTTL(exactTTL(t, time.Hour)))
	written := time.Now()
	killUntilDown(t, s)
	t.Must(sleep(t.Context(), time.Until(written.Add(latestExpiry(t, short)))))
	startUntilUp(t, s)
	for key, ttl := range map[string]time.Duration{"short": short, "long": long} {
		for gone := false; !gone; time.Sleep(20 * time.Millisecond) {
			asked := time.Now()
			_, err := s.Get(t.Context(), key)
			gone = fairlead.CodeOf(err) == fairlead.NotFound
			if age := time.Since(began); gone && age < ttl && durable(t) {
				t.Errorf("%s was gone after %v, its time to live is %v", key, age, ttl)
			}
			if age := asked.Sub(written); !gone && age > latestExpiry(t, ttl) {
				t.Fatalf("%s is there after %v, its time to live is %v: %v", key, age, ttl, err)
			}
		}
	}
	if durable(t) {
		wantValue(t, s, "kept", "1")
	}
}

// sleep returns after d, or with the context's error when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
