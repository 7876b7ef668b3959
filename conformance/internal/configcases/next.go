package configcases

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// nextCases are about waiting for changes.
var nextCases = []suite.Case{
	{
		Name: "config/version-changes", Needs: writable,
		Rule: "every change of values gives a new version, and nothing else does",
		Run:  testVersionChanges,
	},
	{
		Name: "config/next-initial", Needs: writable,
		Rule: "Next returns the present state at once for the empty version, for an older one, and for one that it never gave",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			old := takeSnapshot(t, s).Version
			older := setTexts(t, s, "k", "1")
			setTexts(t, s, "k", "2")
			for _, version := range []string{"", old, older, "never given"} {
				wantValues(t, fmt.Sprintf("Next(%q)", version), nextState(t, s, version), "k", "2")
			}
		},
	},
	{
		Name: "config/next-foreign-version", Needs: writable,
		Rule: "a version means the same for every handle: an old one is old for a handle that never saw it",
		Run: func(t *suite.T) {
			name := t.Name()
			s := t.Source(name)
			old := setTexts(t, s, "k", "1")
			setTexts(t, s, "k", "2")
			wantValues(t, "Next of another handle", nextState(t, t.Source(name), old), "k", "2")
		},
	},
	{
		Name: "config/next-waits",
		Rule: "Next waits for as long as nothing changes",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			version := takeSnapshot(t, s).Version
			for range 3 {
				state, err := s.Next(t.Within(suite.Quiet), version)
				t.WantCode(fmt.Sprintf("Next, which returned the version %q after %q", state.Version, version), err, fairlead.DeadlineExceeded)
			}
		},
	},
	{
		Name: "config/next-wakes", Needs: writable,
		Rule: "a Next that waits returns the new state after each Set",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			version := setTexts(t, s, "a", "a")
			for i := range 5 {
				answers := startNext(t, s, version)
				setTexts(t, s, "k", strconv.Itoa(i))
				state := wantResult(t, answers, "after a Set")
				wantValues(t, "Next", state, "a", "a", "k", strconv.Itoa(i))
				version = state.Version
			}
		},
	},
	{
		Name: "config/next-delete", Needs: withWrite(config.DeleteVisible),
		Rule: "a Next that waits returns after a key was deleted, and after it was set again",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			version := setTexts(t, s, "a", "a", "k", "k")
			answers := startNext(t, s, version)
			setChanges(t, s, config.Delete("k"))
			state := wantResult(t, answers, "after Delete")
			wantValues(t, "Next", state, "a", "a")
			answers = startNext(t, s, state.Version)
			setTexts(t, s, "k", "k")
			wantValues(t, "Next", wantResult(t, answers, "after a Set"), "a", "a", "k", "k")
		},
	},
	{
		Name: "config/next-other-name", Needs: writable,
		Rule: "a Next that waits is not woken by a change under another name",
		Run: func(t *suite.T) {
			name := t.Name()
			s, other := t.Source(name), t.Source(name+"-other")
			answers := startNext(t, s, setTexts(t, s, "k", "v"))
			for i := range 10 {
				setTexts(t, other, "k", strconv.Itoa(i))
			}
			wantNoResult(t, answers, "only settings of another name changed")
		},
	},
	{
		Name: "config/next-last", Needs: writable,
		Rule: "a reader that follows up to a hundred quick changes reaches the last state, and never sees an older state after a newer one",
		Run:  testNextLast,
	},
	{
		Name: "config/next-never-missed", Needs: writable,
		Rule: "a change between a Snapshot and the Next after it is never missed",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			for i := range 50 {
				state := takeSnapshot(t, s)
				setTexts(t, s, "k", strconv.Itoa(i))
				wantValues(t, "Next", nextState(t, s, state.Version), "k", strconv.Itoa(i))
			}
		},
	},
	{
		Name: "config/next-two", Needs: writable,
		Rule: "two concurrent Nexts, on one handle or on two, are both woken",
		Run: func(t *suite.T) {
			name := t.Name()
			one, two := t.Source(name), t.Source(name)
			version := setTexts(t, one, "k", "1")
			state := followUntil(t, two, "", "the value that was set", func(s config.State) bool { return len(s.Values) == 1 })
			all := []<-chan answer{startNext(t, one, version), startNext(t, one, version), startNext(t, two, state.Version)}
			setTexts(t, one, "k", "2")
			for i, answers := range all {
				wantValues(t, fmt.Sprintf("Next number %d", i+1), wantResult(t, answers, "after a Set"), "k", "2")
			}
		},
	},
	{
		Name: "config/next-cancel",
		Rule: "a Next that waits ends within a second of its context, with Canceled or DeadlineExceeded, and other calls still work",
		Run:  testNextCancel,
	},
	{
		Name: "config/closed",
		Rule: "after Close every call fails with Closed, also a Next that waits; a second Close returns nil",
		Run:  testClosed,
	},
	{
		Name: "config/close-one", Needs: writable,
		Rule: "Close of one handle does not affect another handle of the same name, also while that one waits",
		Run: func(t *suite.T) {
			name := t.Name()
			one, two := t.Source(name), t.Source(name)
			setTexts(t, one, "k", "1")
			answers := startNext(t, two, takeSnapshot(t, two).Version)
			t.Must(one.Close(t.Context()))
			wantNoResult(t, answers, "only another handle was closed")
			setTexts(t, two, "k", "2")
			wantValues(t, "Next", wantResult(t, answers, "after a Set"), "k", "2")
		},
	},
	{
		Name: "config/watch-ends", Needs: writable,
		Rule: "Watch yields the present state and then each change; after Close it yields only its end",
		Run:  testWatchEnds,
	},
}

func testVersionChanges(t *suite.T) {
	s := t.Source(t.Name())
	first := takeSnapshot(t, s).Version
	if again := takeSnapshot(t, s).Version; again != first {
		t.Errorf("two snapshots of the same settings have the versions %q and %q", first, again)
	}
	seen := map[string]int{first: 0}
	changes := []config.Change{
		config.Put("k", []byte("1")), config.Put("k", []byte("2")), config.Put("other", nil),
		config.Put("k", nil), config.Delete("other"), config.Put("k", []byte("3")),
	}
	for i, c := range changes {
		version := setChanges(t, s, c)
		if was, ok := seen[version]; ok {
			t.Errorf("the version %q after change %d was also the version after change %d", version, i+1, was)
		}
		if now := takeSnapshot(t, s).Version; now != version {
			t.Errorf("after change %d Set returned the version %q, a snapshot has %q", i+1, version, now)
		}
		seen[version] = i + 1
	}
}

func testNextLast(t *suite.T) {
	s := t.Source(t.Name())
	began := time.Now()
	version := setTexts(t, s, "n", "0")
	// A slow backend gets fewer changes.
	changes := min(100, max(12, int(t.Patience()/4/time.Since(began))))
	answers := make(chan struct{}, 200)
	writing := suite.RunInBackground(func() error {
		for i := 1; i <= changes; i++ {
			if i > 1 && i < 10 { // so that there are states before the last one
				select {
				case <-answers:
				case <-time.After(t.Patience()):
				}
			}
			if _, err := s.Set(t.Context(), config.Put("n", []byte(strconv.Itoa(i)))); err != nil {
				return err
			}
		}
		return nil
	})
	last := 0
	followUntil(t, s, version, fmt.Sprintf("the last of %d changes", changes), func(state config.State) bool {
		n, _ := strconv.Atoi(string(state.Values["n"].Data))
		if n < last {
			t.Errorf("change %d was seen after change %d", n, last)
		}
		last = n
		select {
		case answers <- struct{}{}:
		default:
		}
		return n == changes
	})
	t.Must(<-writing)
}

func testNextCancel(t *suite.T) {
	s := t.Source(t.Name())
	version := takeSnapshot(t, s).Version
	other := startNext(t, s, version)
	t.WantCanceled("Next", func(ctx context.Context) error { _, err := s.Next(ctx, version); return err })
	ctx := t.Within(suite.Quiet)
	t.WantEnd("Next beyond its deadline", suite.RunInBackground(func() error {
		_, err := s.Next(ctx, version)
		return err
	}), fairlead.DeadlineExceeded)
	wantNoResult(t, other, "only another one's context ended")
}

func testClosed(t *suite.T) {
	s := t.Source(t.Name())
	answers := startNext(t, s, takeSnapshot(t, s).Version)
	t.WantEnd("Close while a Next waits", suite.RunInBackground(func() error { return s.Close(t.Context()) }), 0)
	select {
	case a := <-answers:
		t.WantCode("the Next that waits", a.err, fairlead.Closed)
	case <-time.After(t.Soon()):
		t.Fatalf("Close did not wake the Next that waits")
	}
	_, err := s.Snapshot(t.Context())
	t.WantCode("Snapshot", err, fairlead.Closed)
	_, err = s.Next(t.Within(t.Soon()), "")
	t.WantCode("Next", err, fairlead.Closed)
	_, err = s.Get(t.Context(), "k")
	t.WantCode("Get", err, fairlead.Closed)
	if s.Describe().Has(config.Write) {
		_, err = s.Set(t.Context(), config.Put("k", nil))
		t.WantCode("Set", err, fairlead.Closed)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func testWatchEnds(t *suite.T) {
	name := t.Name()
	s, writer := t.Source(name), t.Source(name)
	setTexts(t, writer, "n", "0")
	var mu sync.Mutex
	var seen []string
	ctx := t.Context()
	ended := suite.RunInBackground(func() error {
		var last error
		for state, err := range s.Watch(ctx, "") {
			mu.Lock()
			seen, last = append(seen, textsOf(state)["n"]), err
			mu.Unlock()
		}
		return last
	})
	saw := func(value string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(seen) > 0 && seen[len(seen)-1] == value
		}
	}
	t.Eventually(t.Patience(), "Watch yields the first state", saw("0"))
	setTexts(t, writer, "n", "1")
	t.Eventually(t.Patience(), "Watch yields the change", saw("1"))
	t.Must(s.Close(ctx))
	setTexts(t, writer, "n", "2")
	t.WantEnd("Watch after Close", ended, fairlead.Closed)
	mu.Lock()
	defer mu.Unlock()
	if want := 3; len(seen) != want || seen[2] != "" {
		t.Errorf("Watch yielded the values %q; want the first state, one change, and its end", seen)
	}
}
