package kvcases

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// everyCase is a case that needs the claim WatchEvery.
func everyCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return watchCase(name, rule, run, append(needs, kv.WatchEvery)...)
}

// watchEveryCases are about every change, changes of transactions, and expiry.
var watchEveryCases = []suite.Case{
	everyCase("every-change", "every change comes once, in the order of the store, also a put of the same value", func(t *suite.T) {
		s := t.Store()
		w := openWatcher(t, s, "")
		var want []string
		for i := range 30 {
			key := fmt.Sprint("k", i%4)
			if i%5 == 4 {
				t.Must(s.Delete(t.Context(), key))
				put(t, s, key, "same")
				want = append(want, "delete "+key, "put "+key+"=same")
				continue
			}
			put(t, s, key, "same")
			want = append(want, "put "+key+"=same")
		}
		put(t, s, "end", "")
		wantEvents(t, readEventsToKey(t, w, "end"), append(want, "put end=")...)
	}),
	everyCase("every-quick", "1,000 writes of one key by 20 clients: each write comes once, and each client's writes in their order", testEveryQuick),
	everyCase("every-same-order", "two watchers, and a watcher that starts again in the middle, see concurrent changes in the same order", testEverySameOrder),
	everyCase("every-no-change", "a call that changes nothing gives no event: a failed condition, the delete of a missing key, a read", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "k", "1")
		put(t, s, "k", "2")
		w := openWatcher(t, s, "")
		wantConflict(t, s, "k", stale)
		_, err := s.Create(t.Context(), "k", nil)
		t.WantCode("Create", err, fairlead.Conflict)
		t.WantCode("DeleteIf", s.DeleteIf(t.Context(), "k", stale), fairlead.Conflict)
		t.Must(s.Delete(t.Context(), "never"))
		wantValue(t, s, "k", "2")
		put(t, s, "end", "")
		wantEvents(t, readEvents(t, w, 1), "put end=")
	}, kv.CAS),
	everyCase("every-after-old", "a watch after the first of 500 changes gets all later ones", func(t *suite.T) {
		s := t.Store()
		first := put(t, s, "first", "x")
		putAll(t, s, numberedKeys("k", 500))
		events := readEvents(t, openWatcher(t, s, "", kv.After(first)), 500)
		wantOnce(t, events, numberedKeys("k", 500))
	}),
	watchCase("txn-events", "a watch sees each write of a Txn, with the revision that the Txn returned, and no write of a failed Txn", testTxnEvents, kv.Txn),
	watchCase("watch-txn", "the changes of one Txn come in one batch, with no other changes between them", testWatchTxn, kv.Txn, kv.WatchTxn),
	watchCase("watch-txn-after", "a watch after the revision of a Txn, or of one of its events, continues after the whole Txn", func(t *suite.T) {
		s := t.Store()
		w := openWatcher(t, s, "")
		rev, err := s.Txn(t.Context(), kv.ThenPut("a", nil), kv.ThenPut("b", nil), kv.ThenDelete("c"))
		t.Must(err)
		put(t, s, "end", "")
		events := readEventsToKey(t, w, "end")
		for _, place := range []kv.Revision{rev, events[0].Revision, events[1].Revision} {
			wantEvents(t, readEvents(t, openWatcher(t, s, "", kv.After(place)), 1), "put end=")
		}
	}, kv.Txn, kv.WatchTxn),
	watchCase("watch-expiry", "a watch sees an expiry, even if nobody reads the key", func(t *suite.T) {
		s := t.Store()
		ttl := exactTTL(t, 400*time.Millisecond)
		w := openWatcher(t, s, "k")
		began := time.Now()
		put(t, s, "k", "1", kv.WithTTL(ttl))
		events := readEventsUntil(t, w, "the end of a time to live", func(all []kv.Event) bool {
			return len(all) > 0 && all[len(all)-1].Kind != kv.PutEvent
		})
		wantExpired(t, events[len(events)-1], began, ttl)
		wantMissing(t, s, "k")
	}, kv.TTL),
	watchCase("expiry-events", "an expiry comes once, differs from a delete, and has a revision that a watch can continue after", testExpiryEvents, kv.TTL, kv.ExpiryEvents),
}

func wantExpired(t *suite.T, e kv.Event, began time.Time, ttl time.Duration) {
	if age := time.Since(began); age < ttl {
		t.Errorf("the event %s came %v after a put with a time to live of %v", formatEvent(e), age, ttl)
	}
	if t.Facet().Has(kv.ExpiryEvents) && e.Kind != kv.ExpireEvent {
		t.Errorf("the event %s is not one of an expiry", formatEvent(e))
	}
}

func testEveryQuick(t *suite.T) {
	s := t.Store()
	w := openWatcher(t, s, "")
	const clients, writes = 20, 50
	suite.RunConcurrently(clients, func(i int) {
		for n := range writes {
			putSame(t, s, "k", fmt.Sprintf("%d %d", i, n))
		}
	})
	var next [clients]int
	revs := map[kv.Revision]bool{}
	for _, e := range readEvents(t, w, clients*writes) {
		var i, n int
		if _, err := fmt.Sscan(string(e.Value), &i, &n); err != nil || i >= clients {
			t.Fatalf("an event without a cause: %s", formatEvent(e))
		}
		if n != next[i] || revs[e.Revision] {
			t.Errorf("client %d: write %d came, want write %d; its revision is %q", i, n, next[i], e.Revision)
		}
		next[i], revs[e.Revision] = n+1, true
	}
}

func testEverySameOrder(t *suite.T) {
	s := t.Store()
	one, two := openWatcher(t, s, ""), openWatcher(t, s, "")
	suite.RunConcurrently(16, func(i int) {
		for n := range 20 {
			putSame(t, s, fmt.Sprint("k", (i+n)%5), fmt.Sprintf("%d.%d", i, n))
		}
	})
	put(t, s, "end", "")
	order := readEventsToKey(t, one, "end")
	other := readEventsToKey(t, two, "end")
	middle := len(order) / 2
	rest := readEventsToKey(t, openWatcher(t, s, "", kv.After(order[middle].Revision)), "end")
	if len(order) != 16*20+1 {
		t.Errorf("%d events, want %d", len(order), 16*20+1)
	}
	if !sameEvents(order, other) {
		t.Errorf("two watchers see different orders")
	}
	if !sameEvents(order[middle+1:], rest) {
		t.Errorf("a watch after event %d sees %s, want %s", middle, formatEvents(rest), formatEvents(order[middle+1:]))
	}
}

func sameEvents(a, b []kv.Event) bool {
	return slices.EqualFunc(a, b, func(x, y kv.Event) bool {
		return x.Revision == y.Revision && formatEvent(x) == formatEvent(y)
	})
}

// wantOnce demands one event of each key, and no other.
func wantOnce(t *suite.T, events []kv.Event, keys []string) {
	seen := map[string]int{}
	for _, e := range events {
		seen[e.Key]++
	}
	for _, key := range keys {
		if seen[key] != 1 {
			t.Errorf("%d events of %s, want 1", seen[key], key)
		}
	}
	if len(seen) != len(keys) {
		t.Errorf("events of %d keys, want %d", len(seen), len(keys))
	}
}

func testTxnEvents(t *suite.T) {
	s := t.Store()
	put(t, s, "gone", "1")
	w := openWatcher(t, s, "")
	_, err := s.Txn(t.Context(), kv.IfMissing("gone"), kv.ThenPut("a", []byte("never")), kv.ThenDelete("gone"))
	t.WantCode("Txn whose condition does not hold", err, fairlead.Conflict)
	rev, err := s.Txn(t.Context(), kv.ThenPut("a", []byte("1")), kv.ThenDelete("gone"), kv.ThenPut("b", []byte("2")))
	t.Must(err)
	put(t, s, "end", "")
	events := readEventsToKey(t, w, "end")
	var shown []string
	for _, e := range events {
		shown = append(shown, formatEvent(e))
		if e.Kind == kv.PutEvent && e.Key != "end" && e.Revision != rev {
			t.Errorf("the event %s has the revision %q, the Txn returned %q", formatEvent(e), e.Revision, rev)
		}
	}
	slices.Sort(shown)
	if got := strings.Join(shown, ", "); got != "delete gone, put a=1, put b=2, put end=" {
		t.Errorf("events of the Txn and of a write after it: %s", got)
	}
}

func testWatchTxn(t *suite.T) {
	s := t.Store()
	w := openWatcher(t, s, "x")
	txn := func(writer, round int) error {
		time.Sleep(3 * time.Millisecond) // a reader may be slower than memory, and its history ends
		v := []byte(fmt.Sprintf("%d.%d", writer, round))
		_, err := s.Txn(t.Context(), kv.ThenPut("xa", v), kv.ThenPut("y", v), kv.ThenPut("xb", v), kv.ThenPut("xc", v))
		return err
	}
	runWhileWriting(t, 3, txn, func(*concurrent) {
		for transactions := 0; transactions < 60; {
			var events []kv.Event
			var err error
			ctx := t.Within(t.Patience())
			wantReturn(t, "Next", t.Patience()+2*time.Second, func() { events, err = w.Next(ctx) })
			t.Must(err)
			if len(events)%3 != 0 {
				t.Fatalf("a batch of %s, which is not whole transactions", formatEvents(events))
			}
			for part := range slices.Chunk(events, 3) {
				keys := part[0].Key + part[1].Key + part[2].Key
				if part[0].Revision != part[1].Revision || part[1].Revision != part[2].Revision || !strings.Contains("xaxbxc xaxcxb xbxaxc xbxcxa xcxaxb xcxbxa", keys) {
					t.Fatalf("%s are not the changes of one transaction", formatEvents(part))
				}
				transactions++
			}
		}
	})
}

func testExpiryEvents(t *suite.T) {
	s := t.Store()
	ttl := exactTTL(t, 150*time.Millisecond)
	w := openWatcher(t, s, "")
	began := time.Now()
	put(t, s, "deleted", "1", kv.WithTTL(exactTTL(t, time.Hour)))
	t.Must(s.Delete(t.Context(), "deleted"))
	late := overwriteInTime(t, s, ttl)
	put(t, s, "k", "1", kv.WithTTL(ttl))
	events := readEventsUntil(t, w, "the expiry of k", func(all []kv.Event) bool {
		return len(all) > 0 && all[len(all)-1].Key == "k" && all[len(all)-1].Kind != kv.PutEvent
	})
	last := events[len(events)-1]
	wantExpired(t, last, began, ttl)
	put(t, s, "end", "")
	afterExpiry := readEventsToKey(t, w, "end")
	wantEvents(t, afterExpiry, "put end=")
	wantEvents(t, readEventsToKey(t, openWatcher(t, s, "", kv.After(last.Revision)), "end"), "put end=")
	kinds := map[string]int{}
	for _, e := range events {
		if e.Kind != kv.PutEvent && !late[e.Key] {
			kinds[formatEvent(e)]++
		}
	}
	if want := map[string]int{"delete deleted": 1, "expire k": 1}; !maps.Equal(kinds, want) {
		t.Errorf("events that end a key: %v, want %v", kinds, want)
	}
}

// overwriteInTime writes a key with a time to live, and overwrites it before that
// ends. If the machine was too slow, it tries again with another key and a longer
// time, and returns the keys that may have expired.
func overwriteInTime(t *suite.T, s *kv.Store, ttl time.Duration) (late map[string]bool) {
	late = map[string]bool{}
	for ; ; ttl *= 4 {
		key, asked := fmt.Sprintf("kept-%v", ttl), time.Now()
		put(t, s, key, "1", kv.WithTTL(ttl))
		put(t, s, key, "2")
		if time.Since(asked) < ttl {
			return late
		}
		late[key] = true
	}
}

// watchGapCases are about watchers that lag and histories that end.
var watchGapCases = []suite.Case{
	watchCase("list-watch", "a listing, and a watch after its page, together give the present state at every later time, also under concurrent writers", testListWatch, kv.List),
	watchCase("watch-slow", "a reader that lags by 1,500 changes gets every key's last state (every change where WatchEvery is claimed) or Compacted", func(t *suite.T) {
		s := t.Store()
		w := openWatcher(t, s, "k")
		keys := numberedKeys("k", 1500)
		putAll(t, s, keys)
		wantAllOrCompacted(t, w, keys)
	}),
	newFullCase("watch-old", "a watch after a revision that is 25,000 changes old gets them all or fails with Compacted", func(t *suite.T) {
		s := t.Store()
		first := put(t, s, "first", "x")
		slow := openWatcher(t, s, "k")
		keys := numberedKeys("k", 25_000)
		forEachConcurrently(256, keys, func(key string) { putSame(t, s, key, key) })
		wantAllOrCompacted(t, slow, keys)
		w, err := s.Watch(t.Context(), "k", kv.After(first))
		if fairlead.CodeOf(err) == fairlead.Compacted {
			return
		}
		t.Must(err)
		defer w.Close(t.Context())
		wantAllOrCompacted(t, w, keys)
	}, kv.Watch),
}

// wantAllOrCompacted reads events of each key once, or up to Compacted, which
// must then come again.
func wantAllOrCompacted(t *suite.T, w *kv.Watcher, keys []string) {
	var all []kv.Event
	ctx := t.Within(2 * t.Patience())
	for len(all) < len(keys) {
		events, err := w.Next(ctx)
		if fairlead.CodeOf(err) == fairlead.Compacted {
			t.Logf("Compacted after %d events", len(all))
			_, err = w.Next(ctx)
			t.WantCode("Next after Compacted", err, fairlead.Compacted)
			return
		}
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(all), len(keys), err)
		}
		all = append(all, events...)
	}
	wantOnce(t, all, keys)
}

func testListWatch(t *suite.T) {
	s := t.Store()
	// Each key is written once and perhaps deleted, so that no later write
	// hides a change that was missed.
	write := func(writer, round int) error {
		if round%4 == 3 {
			return s.Delete(t.Context(), fmt.Sprintf("k%d-%d", writer, round-2))
		}
		_, err := s.Put(t.Context(), fmt.Sprintf("k%d-%d", writer, round), []byte(fmt.Sprintf("%d.%d", writer, round)))
		time.Sleep(100 * time.Microsecond) // so that there are not too many
		return err
	}
	var watchers []*kv.Watcher
	var states []map[string]string
	runWhileWriting(t, 4, write, func(c *concurrent) {
		for i := range 5 {
			state, rev := listState(t, s, 30+i, c)
			c.waitForWrites(4)
			watchers = append(watchers, openWatcher(t, s, "k", kv.After(rev)))
			states = append(states, state)
			c.waitForWrites(20)
		}
	})
	put(t, s, "k-end", "")
	want, _ := listState(t, s, 100, nil)
	for i, w := range watchers {
		for _, e := range readEventsToKey(t, w, "k-end") {
			if delete(states[i], e.Key); e.Kind == kv.PutEvent {
				states[i][e.Key] = string(e.Value)
			}
		}
		if !maps.Equal(states[i], want) {
			t.Errorf("listing %d and the events after it give %v, the store holds %v", i, states[i], want)
		}
	}
}

// listState reads the store, and the revision of the first page. Writers continue
// between pages.
func listState(t *suite.T, s *kv.Store, limit int, c *concurrent) (map[string]string, kv.Revision) {
	state := map[string]string{}
	page, err := s.ListPage(t.Context(), "k", "", limit)
	t.Must(err)
	first := page.Revision
	for {
		for _, e := range page.Entries {
			state[e.Key] = string(e.Value)
		}
		if page.Token == "" {
			return state, first
		}
		if c != nil {
			c.waitForWrites(1)
		}
		page, err = s.ListPage(t.Context(), "k", page.Token, limit)
		t.Must(err)
	}
}
