package kvcases

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// newCase is a case of the kv facet.
func newCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return suite.Case{Name: "kv/" + name, Rule: rule, Run: run, Needs: needs}
}

// large is the size of the values in the cases of large calls. One value with a
// key is still within the least limit that a provider may publish.
const large = 999_000

// newFullCase is a case of the kv facet that takes long.
func newFullCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	c := newCase(name, rule, run, needs...)
	c.Full, c.Timeout = true, 2*time.Minute
	return c
}

// newControlCase is a case of the kv facet that kills and starts the backend.
func newControlCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	c := newFullCase(name, rule, run, needs...)
	c.Control = true
	return c
}

// put writes a key, and ends the case if that fails.
func put(t *suite.T, s *kv.Store, key, value string, opts ...kv.WriteOption) kv.Revision {
	rev, err := s.Put(t.Context(), key, []byte(value), opts...)
	t.Must(err)
	if rev == "" {
		t.Fatalf("Put of %q was acknowledged without a revision", key)
	}
	return rev
}

// wantValue reads a key that must have a value, and returns its entry.
func wantValue(t *suite.T, s *kv.Store, key, value string) kv.Entry {
	e, err := s.Get(t.Context(), key)
	switch {
	case err != nil:
		t.Errorf("Get of %s: want the value %s, got %v", quoteBriefly(key), quoteBriefly(value), err)
	case string(e.Value) != value || e.Key != key:
		t.Errorf("Get of %s: want the value %s, got key %s with %s", quoteBriefly(key), quoteBriefly(value), quoteBriefly(e.Key), quoteBriefly(string(e.Value)))
	case e.Revision == "":
		t.Errorf("Get of %s: the entry has no revision", quoteBriefly(key))
	}
	return e
}

// wantEntry reads a key that must have a value and a revision.
func wantEntry(t *suite.T, s *kv.Store, key, value string, rev kv.Revision) {
	if e := wantValue(t, s, key, value); e.Revision != rev {
		t.Errorf("Get of %s: want the revision %q, got %q", quoteBriefly(key), rev, e.Revision)
	}
}

// wantMissing reads a key that must not exist.
func wantMissing(t *suite.T, s *kv.Store, key string) {
	e, err := s.Get(t.Context(), key)
	if err == nil {
		t.Errorf("Get of %s: want not found, got the value %s", quoteBriefly(key), quoteBriefly(string(e.Value)))
		return
	}
	t.WantCode("Get of "+quoteBriefly(key), err, fairlead.NotFound)
}

// quoteBriefly quotes a string, or only a part of it if it is long.
func quoteBriefly(s string) string {
	if len(s) <= 60 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:40], len(s))
}

// listPages reads a whole listing page by page, and checks what holds for
// every page.
func listPages(t *suite.T, s *kv.Store, prefix string, limit int) []kv.Entry {
	return listPagesWith(t, s, prefix, limit, func() {})
}

// listPagesWith calls between before each page but the first.
func listPagesWith(t *suite.T, s *kv.Store, prefix string, limit int, between func()) []kv.Entry {
	var all []kv.Entry
	for token := ""; ; {
		page, err := s.ListPage(t.Context(), prefix, token, limit)
		t.Must(err)
		if len(page.Entries) > limit {
			t.Fatalf("a page of at most %d entries has %d", limit, len(page.Entries))
		}
		all = append(all, page.Entries...)
		if token = page.Token; token == "" {
			break
		}
		between()
	}
	for i, e := range all {
		if !strings.HasPrefix(e.Key, prefix) {
			t.Errorf("a listing of the prefix %q has the key %s", prefix, quoteBriefly(e.Key))
		}
		if i > 0 && all[i-1].Key >= e.Key {
			t.Errorf("key %s comes after %s", quoteBriefly(e.Key), quoteBriefly(all[i-1].Key))
		}
	}
	return all
}

// keysOfEntries returns the keys of entries.
func keysOfEntries(entries []kv.Entry) []string {
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys
}

// numberedKeys returns n keys.
func numberedKeys(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return keys
}

// putAll writes keys concurrently, each with the key as its value, and returns
// their revisions.
func putAll(t *suite.T, s *kv.Store, keys []string, opts ...kv.WriteOption) map[string]kv.Revision {
	var mu sync.Mutex
	revs := map[string]kv.Revision{}
	forEachConcurrently(32, keys, func(key string) {
		rev, err := s.Put(t.Context(), key, []byte(key), opts...)
		if err != nil {
			t.Errorf("Put of %s: %v", quoteBriefly(key), err)
		}
		mu.Lock()
		defer mu.Unlock()
		revs[key] = rev
	})
	if len(revs) < len(keys) {
		t.Fatalf("%d keys were written, want %d", len(revs), len(keys))
	}
	return revs
}

// forEachConcurrently calls do for every element, n at a time.
func forEachConcurrently[E any](n int, all []E, do func(E)) {
	work := make(chan E, len(all))
	for _, e := range all {
		work <- e
	}
	close(work)
	suite.RunConcurrently(n, func(int) {
		for e := range work {
			do(e)
		}
	})
}

// concurrent counts the writes of concurrent writers.
type concurrent struct {
	t      *suite.T
	writes atomic.Int64 // that were acknowledged
}

// runWhileWriting runs do while writers change the store, each in a loop with
// its own number, and returns when all have ended.
func runWhileWriting(t *suite.T, writers int, write func(writer, round int) error, do func(*concurrent)) {
	c := &concurrent{t: t}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(w, round); err != nil {
					t.Errorf("a concurrent writer: %v", err)
					return
				}
				c.writes.Add(1)
			}
		})
	}
	defer wg.Wait() // also when do ends the case
	defer close(stop)
	do(c)
}

// waitForWrites waits for n more writes, so that the store changes between two
// reads even if reading is quick.
func (c *concurrent) waitForWrites(n int64) {
	want := c.writes.Load() + n
	for deadline := time.Now().Add(c.t.Patience()); c.writes.Load() < want; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the concurrent writers made fewer than %d writes in %v", n, c.t.Patience())
		}
	}
}

// wantReturn runs do in a goroutine of its own and ends the case if do has not
// returned within d.
func wantReturn(t *suite.T, what string, d time.Duration, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s has not returned within %v", what, d)
	}
}

// openWatcher opens a watcher, which is closed when the case has ended.
func openWatcher(t *suite.T, s *kv.Store, prefix string, opts ...kv.WatchOption) *kv.Watcher {
	w, err := s.Watch(t.Context(), prefix, opts...)
	t.Must(err)
	t.Cleanup(w.Close)
	return w
}

// readEventsUntil reads events until enough returns true for the events so far. It
// ends the case if that takes too long.
func readEventsUntil(t *suite.T, w *kv.Watcher, what string, enough func([]kv.Event) bool) []kv.Event {
	var all []kv.Event
	ctx := t.Within(t.Patience())
	for !enough(all) {
		var events []kv.Event
		var err error
		wantReturn(t, "Next, waiting for "+what, t.Patience()+2*time.Second, func() { events, err = w.Next(ctx) })
		if err != nil {
			t.Fatalf("waiting for %s: got %s, and then %v", what, formatEvents(all), err)
		}
		if len(events) == 0 {
			t.Fatalf("waiting for %s: Next returned no event and no error", what)
		}
		all = append(all, events...)
	}
	return all
}

// readEventsToKey reads events up to the first event of a key.
func readEventsToKey(t *suite.T, w *kv.Watcher, key string) []kv.Event {
	return readEventsUntil(t, w, fmt.Sprintf("an event of the key %q", key), func(all []kv.Event) bool {
		return len(all) > 0 && hasKey(all, key)
	})
}

func hasKey(all []kv.Event, key string) bool {
	for _, e := range all {
		if e.Key == key {
			return true
		}
	}
	return false
}

// readEvents reads at least n events.
func readEvents(t *suite.T, w *kv.Watcher, n int) []kv.Event {
	return readEventsUntil(t, w, fmt.Sprintf("%d events", n), func(all []kv.Event) bool { return len(all) >= n })
}

// formatEvent returns an event in a short form.
func formatEvent(e kv.Event) string {
	kind := map[any]string{kv.PutEvent: "put", kv.DeleteEvent: "delete", kv.ExpireEvent: "expire"}[e.Kind]
	if e.Kind == kv.PutEvent {
		return fmt.Sprintf("%s %s=%s", kind, e.Key, e.Value)
	}
	return fmt.Sprintf("%s %s", kind, e.Key)
}

func formatEvents(all []kv.Event) string {
	shown := make([]string, 0, len(all))
	for _, e := range all {
		if len(shown) == 40 {
			shown = append(shown, fmt.Sprintf("… (%d in all)", len(all)))
			break
		}
		shown = append(shown, formatEvent(e))
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

// wantEvents compares events with the wanted ones, which are in the form of
// [formatEvent].
func wantEvents(t *suite.T, got []kv.Event, want ...string) {
	if shown, wanted := formatEvents(got), "["+strings.Join(want, ", ")+"]"; shown != wanted {
		t.Errorf("events %s, want %s", shown, wanted)
	}
	for _, e := range got {
		if e.Revision == "" {
			t.Errorf("the event %s has no revision", formatEvent(e))
		}
	}
}

// spare is how much later than promised something may be seen before a case
// fails. It allows for delays of the machine that runs the suite.
const spare = time.Second

// exactTTL returns a time to live of at least d that the provider keeps exactly.
func exactTTL(t *suite.T, d time.Duration) time.Duration {
	l := t.Facet().Limits
	return roundUp(max(d, l.MinTTL), l.TTLResolution)
}

func roundUp(d, step time.Duration) time.Duration {
	if step <= 0 {
		return d
	}
	return (d + step - 1) / step * step
}

// latestExpiry returns how long after a write with a time to live the key may
// still be seen.
func latestExpiry(t *suite.T, ttl time.Duration) time.Duration {
	step := t.Facet().Limits.TTLResolution
	return roundUp(ttl, step) + step + time.Second + spare
}
