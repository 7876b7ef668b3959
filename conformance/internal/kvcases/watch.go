package kvcases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
)

// watchCase is a case that needs the claim Watch.
func watchCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return newCase(name, rule, run, append(needs, kv.Watch)...)
}

// watchCases are the rules for every watch. No case waits to see that no event
// comes: the next event that comes shows it.
var watchCases = []suite.Case{
	watchCase("watch-put", "a watch sees a put with its value, and with the revision that the put returned", func(t *suite.T) {
		s := t.Store()
		w := openWatcher(t, s, "")
		rev := put(t, s, "k", "v\x00\xff")
		events := readEvents(t, w, 1)
		wantEvents(t, events, "put k=v\x00\xff")
		if events[0].Revision != rev {
			t.Errorf("the event has the revision %q, the put returned %q", events[0].Revision, rev)
		}
		put(t, s, "k", "")
		wantEvents(t, readEvents(t, w, 1), "put k=")
	}),
	watchCase("watch-delete", "a watch sees a delete as a delete event without a value, and then the next put", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		w := openWatcher(t, s, "")
		t.Must(s.Delete(t.Context(), "k"))
		events := readEvents(t, w, 1)
		wantEvents(t, events, "delete k")
		if events[0].Revision == rev || len(events[0].Value) > 0 {
			t.Errorf("the delete has the revision %q (the put before: %q) and the value %q", events[0].Revision, rev, events[0].Value)
		}
		put(t, s, "k", "2")
		wantEvents(t, readEvents(t, w, 1), "put k=2")
	}),
	watchCase("watch-conditional", "a watch sees the changes of Create, CAS and DeleteIf, with their revisions", func(t *suite.T) {
		s := t.Store()
		w := openWatcher(t, s, "")
		rev, err := s.Create(t.Context(), "k", []byte("1"))
		t.Must(err)
		wantEventOf(t, w, "put k=1", rev)
		rev, err = s.CAS(t.Context(), "k", []byte("2"), rev)
		t.Must(err)
		wantEventOf(t, w, "put k=2", rev)
		t.Must(s.DeleteIf(t.Context(), "k", rev))
		wantEvents(t, readEvents(t, w, 1), "delete k")
	}, kv.CAS),
	watchCase("watch-prefix", "a watch of a prefix sees exactly the keys that start with it; the prefix is no pattern", func(t *suite.T) {
		s := t.Store()
		for _, prefix := range []string{"a/", "a*", "[a]", "a.", "é"} {
			w := openWatcher(t, s, prefix)
			for _, key := range []string{"a", "a0", "b", "ab", "b/" + prefix, strings.ToUpper(prefix) + "A", prefix, prefix + "x"} {
				put(t, s, key, "1")
			}
			wantEvents(t, readEventsToKey(t, w, prefix+"x"), "put "+prefix+"=1", "put "+prefix+"x=1")
			t.Must(w.Close(t.Context()))
		}
	}),
	watchCase("watch-now", "a watch without After sees nothing that happened before Watch was called, and all that happens after it returned", func(t *suite.T) {
		s := t.Store()
		put(t, s, "k", "before")
		put(t, s, "old", "before")
		t.Must(s.Delete(t.Context(), "old"))
		w := openWatcher(t, s, "")
		put(t, s, "k", "after")
		wantEvents(t, readEvents(t, w, 1), "put k=after")
	}),
	watchCase("watch-after-put", "a watch after the revision of a put, or of a read, sees what happened after it, and not the put itself", func(t *suite.T) {
		s := t.Store()
		put(t, s, "a", "1")
		put(t, s, "b", "1")
		rev := wantValue(t, s, "b", "1").Revision
		put(t, s, "c", "1")
		t.Must(s.Delete(t.Context(), "a"))
		put(t, s, "b", "2")
		w := openWatcher(t, s, "", kv.After(rev))
		wantEvents(t, readEventsToKey(t, w, "b"), "put c=1", "delete a", "put b=2")
		put(t, s, "d", "1")
		wantEvents(t, readEvents(t, w, 1), "put d=1")
	}),
	watchCase("watch-after-event", "a watch after the revision of an event, of a put or a delete, continues right after it", func(t *suite.T) {
		s := t.Store()
		put(t, s, "z", "1")
		w := openWatcher(t, s, "")
		put(t, s, "a", "1")
		put(t, s, "b", "1")
		t.Must(s.Delete(t.Context(), "z"))
		put(t, s, "c", "1")
		put(t, s, "d", "1")
		events := readEventsToKey(t, w, "d")
		for i, e := range events[:len(events)-1] {
			again := openWatcher(t, s, "", kv.After(e.Revision))
			wantEvents(t, readEventsToKey(t, again, "d"), strings.Split(strings.Trim(formatEvents(events[i+1:]), "[]"), ", ")...)
			t.Must(again.Close(t.Context()))
		}
	}),
	watchCase("watch-after-page", "a watch after the revision of a page misses nothing that the listing does not show", func(t *suite.T) {
		s := t.Store()
		put(t, s, "a", "1")
		put(t, s, "b", "1")
		page, err := s.ListPage(t.Context(), "", "", 10)
		t.Must(err)
		if page.Revision == "" {
			t.Fatalf("the page has no revision, and Watch is claimed")
		}
		put(t, s, "c", "1")
		t.Must(s.Delete(t.Context(), "a"))
		w := openWatcher(t, s, "", kv.After(page.Revision))
		put(t, s, "d", "1")
		events := readEventsToKey(t, w, "d")
		wantEvents(t, events[max(0, len(events)-3):], "put c=1", "delete a", "put d=1")
	}, kv.List),
	watchCase("watch-empty-page", "the page of an empty store has a revision too, after which a watch sees the first write", func(t *suite.T) {
		s := t.Store()
		page, err := s.ListPage(t.Context(), "", "", 10)
		t.Must(err)
		put(t, s, "k", "1")
		wantEvents(t, readEvents(t, openWatcher(t, s, "", kv.After(page.Revision)), 1), "put k=1")
	}, kv.List),
	watchCase("watch-two", "two watchers are independent: each sees all changes, and closing one does not affect the other", func(t *suite.T) {
		s := t.Store()
		one, two := openWatcher(t, s, ""), openWatcher(t, s, "")
		put(t, s, "a", "1")
		wantEvents(t, readEvents(t, one, 1), "put a=1")
		put(t, s, "b", "1")
		t.Must(one.Close(t.Context()))
		put(t, s, "c", "1")
		wantEvents(t, readEventsToKey(t, two, "c"), "put a=1", "put b=1", "put c=1")
	}),
	watchCase("watch-wakes", "a Next that waits returns soon after a change, for each of 20 watchers", func(t *suite.T) {
		s := t.Store()
		waiting := make(chan struct{}, 20)
		woken := make(chan error, 20)
		for range 20 {
			w := openWatcher(t, s, "k")
			go func() {
				waiting <- struct{}{}
				events, err := w.Next(t.Within(t.Patience()))
				if err == nil && formatEvents(events) != "[put k=1]" {
					err = fmt.Errorf("got %s from Next", formatEvents(events))
				}
				woken <- err
			}()
		}
		for range 20 {
			<-waiting
		}
		time.Sleep(20 * time.Millisecond) // so that most are blocked; it decides nothing
		put(t, s, "k", "1")
		wantReturn(t, "20 Next that waited", t.Patience()+time.Second, func() {
			for range 20 {
				if err := <-woken; err != nil {
					t.Errorf("a Next that waited: %v", err)
				}
			}
		})
	}),
	watchCase("watch-cancel", "a Next that waits ends within a second of its context, and the watcher then continues without loss", testWatchCancel),
	watchCase("watch-close", "after the watcher or its store was closed, Next fails with Closed, also a Next that waits; unread events do not come", testWatchClose),
	watchCase("watch-ended", "a driver's watcher delivers nothing to a Next whose context has ended, and nothing after Close, also if there are events", testWatchEnded),
	watchCase("watch-order", "the changes of each key come in the order in which they were made", testWatchOrder),
	watchCase("watch-last", "of many quick changes of a key the last one always comes", func(t *suite.T) {
		s := t.Store()
		w := openWatcher(t, s, "")
		suite.RunConcurrently(8, func(int) {
			for n := range 25 {
				putSame(t, s, "k", fmt.Sprint(n))
			}
		})
		last := put(t, s, "k", "last")
		events := readEventsUntil(t, w, "the last change", func(all []kv.Event) bool {
			return len(all) > 0 && string(all[len(all)-1].Value) == "last"
		})
		if got := events[len(events)-1].Revision; got != last {
			t.Errorf("the last event has the revision %q, want %q", got, last)
		}
	}),
	watchCase("watch-refused", "a watch after an unknown revision is Invalid or Compacted; an empty revision and a prefix that is not UTF-8 are Invalid", func(t *suite.T) {
		s := t.Store()
		put(t, s, "k", "1")
		for _, rev := range []kv.Revision{"garbage", " ", "\x00", "-5", "18446744073709551615"} {
			w, err := s.Watch(t.Context(), "", kv.After(rev))
			if err == nil {
				_, err = w.Next(t.Within(time.Second))
				_ = w.Close(t.Context())
			}
			if code := fairlead.CodeOf(err); code != fairlead.Invalid && code != fairlead.Compacted {
				t.Errorf("a watch after the revision %q: want Invalid or Compacted, got %v", rev, err)
			}
		}
		_, err := s.Watch(t.Context(), "", kv.After(""))
		t.WantCode("Watch after the empty revision", err, fairlead.Invalid)
		_, err = s.Watch(t.Context(), "a\xff")
		t.WantCode("Watch of a prefix that is not UTF-8", err, fairlead.Invalid)
	}),
	watchCase("watch-stores", "a watch sees no change of another store, also where one name begins with the other", func(t *suite.T) {
		name := t.Name()
		s, other := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name+".k")
		w, v := openWatcher(t, s, ""), openWatcher(t, other, "")
		put(t, other, "k", "other")
		put(t, s, "k", "1")
		wantEvents(t, readEvents(t, w, 1), "put k=1")
		wantEvents(t, readEvents(t, v, 1), "put k=other")
	}),
	newFullCase("watch-large", "events of 8 MB in total all come, each complete", func(t *suite.T) {
		s, value := t.Store(), strings.Repeat("v", large)
		w := openWatcher(t, s, "")
		keys := numberedKeys("k", 8)
		for _, key := range keys {
			putSame(t, s, key, key+value)
		}
		for i, e := range readEvents(t, w, 8) {
			if e.Key != keys[i] || string(e.Value) != e.Key+value {
				t.Errorf("event %d is of %s with %d bytes", i, e.Key, len(e.Value))
			}
		}
	}, kv.Watch),
	watchCase("alias-watch", "a change to the value of an event changes neither the store nor the events of another watcher", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "z", "x")
		one, two := openWatcher(t, s, ""), openWatcher(t, s, "")
		put(t, s, "k", "before")
		copy(readEvents(t, one, 1)[0].Value, "spoilt")
		wantValue(t, s, "k", "before")
		wantEvents(t, readEvents(t, two, 1), "put k=before")
		wantEvents(t, readEvents(t, openWatcher(t, s, "", kv.After(rev)), 1), "put k=before")
	}),
}

func wantEventOf(t *suite.T, w *kv.Watcher, want string, rev kv.Revision) {
	events := readEvents(t, w, 1)
	wantEvents(t, events, want)
	if events[0].Revision != rev {
		t.Errorf("the event %s has the revision %q, the write returned %q", want, events[0].Revision, rev)
	}
}

func testWatchCancel(t *suite.T) {
	s := t.Store()
	w := openWatcher(t, s, "")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	wantReturn(t, "Next, one second after its context was canceled", 50*time.Millisecond+time.Second+2*spare, func() {
		_, err := w.Next(ctx)
		t.WantCode("Next whose context was canceled", err, fairlead.Canceled)
	})
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	wantReturn(t, "Next, one second after its deadline", 50*time.Millisecond+time.Second+2*spare, func() {
		_, err := w.Next(short)
		t.WantCode("Next whose deadline passed", err, fairlead.DeadlineExceeded)
	})
	put(t, s, "a", "1")
	events, err := w.Next(ctx) // events may come with a context that has ended, but must not be lost
	if err != nil {
		t.WantCode("Next with a context that has ended", err, fairlead.Canceled)
	}
	put(t, s, "b", "1")
	if !hasKey(events, "b") {
		events = append(events, readEventsToKey(t, w, "b")...)
	}
	wantEvents(t, events, "put a=1", "put b=1")
}

func testWatchClose(t *suite.T) {
	s := t.Store()
	closed := func(what string, w *kv.Watcher, closeIt func(context.Context) error) {
		ended := make(chan error, 1)
		go func() {
			_, err := w.Next(t.Context())
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond) // so that it usually waits already
		t.Must(closeIt(t.Context()))
		select {
		case err := <-ended:
			t.WantCode("Next that waits while the "+what+" is closed", err, fairlead.Closed)
		case <-time.After(t.Patience()):
			t.Fatalf("Next has not returned %v after the %s was closed", t.Patience(), what)
		}
		t.Must(closeIt(t.Context()))
		_, err := w.Next(t.Context())
		t.WantCode("Next after the "+what+" was closed", err, fairlead.Closed)
	}
	w := openWatcher(t, s, "")
	closed("watcher", w, w.Close)
	unread := openWatcher(t, s, "")
	put(t, s, "k", "1")
	t.Must(unread.Close(t.Context()))
	if events, err := unread.Next(t.Context()); fairlead.CodeOf(err) != fairlead.Closed {
		t.Errorf("Next of a closed watcher with unread events: %s %v", formatEvents(events), err)
	}
	closed("store", openWatcher(t, s, ""), s.Close)
}

// testWatchEnded calls the driver, because the portable watcher hides the driver's
// behaviour after Close.
func testWatchEnded(t *suite.T) {
	name := t.Name()
	s := t.StoreOf(t.Provider(), name)
	d, err := t.Provider().(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: name})
	t.Must(err)
	t.Cleanup(d.Close)
	w, err := d.Watch(t.Context(), driver.WatchRequest{})
	t.Must(err)
	t.Cleanup(w.Close)
	put(t, s, "a", "1")
	events, err := w.Next(t.PatientContext())
	t.Must(err)
	put(t, s, "b", "1")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, err := w.Next(ended)
	t.WantCode(fmt.Sprintf("Next with a context that has ended, after %d events (%d more came)", len(events), len(late)), err, fairlead.Canceled)
	t.Must(w.Close(t.Context()))
	for range 2 {
		late, err = w.Next(t.PatientContext())
		t.WantCode(fmt.Sprintf("Next of a closed watcher with events that were not delivered (%d came)", len(late)), err, fairlead.Closed)
	}
	t.Must(w.Close(t.Context()))
}

func testWatchOrder(t *suite.T) {
	s := t.Store()
	w := openWatcher(t, s, "k")
	const writers, writes = 8, 25
	suite.RunConcurrently(writers, func(i int) {
		for n := range writes {
			putSame(t, s, fmt.Sprint("k", i), fmt.Sprint(n+1))
		}
	})
	put(t, s, "k-last", "0")
	last := map[string]int{}
	for _, e := range readEventsToKey(t, w, "k-last") {
		n := number(t, kv.Entry{Key: e.Key, Value: e.Value})
		if n < last[e.Key] {
			t.Errorf("of %s, %d came after %d", e.Key, n, last[e.Key])
		}
		last[e.Key] = n
	}
	for i := range writers {
		if key := fmt.Sprint("k", i); last[key] != writes {
			t.Errorf("the last event of %s before a later write is %d, want %d", key, last[key], writes)
		}
	}
}
