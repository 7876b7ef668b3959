package configcases

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// typed is the struct into which the cases load.
type typed struct {
	Name    string        `default:"from the struct"`
	Limit   int           `default:"1"`
	Timeout time.Duration `default:"1s"`
	Nested  struct{ Deep []string }
}

// Validate refuses limits below zero.
func (s *typed) Validate() error {
	if s.Limit < 0 {
		return errors.New("limit is below zero")
	}
	return nil
}

// typedCases are about settings in the structs of a program.
var typedCases = []suite.Case{
	{
		Name: "config/load-layers", Needs: writable,
		Rule: "Load takes each key from the last layer that has it, or else from the struct's defaults",
		Run: func(t *suite.T) {
			name := t.Name()
			setTexts(t, t.Source(name), "limit", "7", "nested/deep", "a,b")
			below := config.Map(map[string]any{"name": "below", "limit": 2})
			got, err := config.Load[typed](t.Context(), below, config.From(t.Provider(), name))
			t.Must(err)
			wantTyped(t, "under the provider's", got, "below", 7, "a b")
			got, err = config.Load[typed](t.Context(), config.From(t.Provider(), name), below)
			t.Must(err)
			wantTyped(t, "over the provider's", got, "below", 2, "a b")
			if got.Timeout != time.Second {
				t.Errorf("the timeout is %v, want the default of 1s", got.Timeout)
			}
		},
	},
	{
		Name: "config/load-empty", Needs: writable,
		Rule: "an empty value hides the key in lower layers; after a deletion, the lower layer's value applies",
		Run: func(t *suite.T) {
			name := t.Name()
			s := t.Source(name)
			load := func() typed {
				got, err := config.Load[typed](t.Context(), config.From(t.Provider(), name))
				t.Must(err)
				return got
			}
			setTexts(t, s, "name", "")
			wantTyped(t, "with an empty value", load(), "", 1, "")
			setChanges(t, s, config.Delete("name"))
			wantTyped(t, "with the key deleted", load(), "from the struct", 1, "")
		},
	},
	{
		Name: "config/load-bad", Needs: writable,
		Rule: "Load fails with Invalid for a value that does not fit; the error names layer and key, and not the value",
		Run: func(t *suite.T) {
			name := t.Name()
			setTexts(t, t.Source(name), "limit", "s3cret")
			_, err := config.Load[typed](t.Context(), config.From(t.Provider(), name))
			wantRejected(t, err, name)
		},
	},
	{
		Name: "config/watch-typed", Needs: writable,
		Rule: "a Watcher follows every kind of change, a deletion back to the default included",
		Run: func(t *suite.T) {
			s, w, _ := watchTyped(t, "name", "1")
			wantTyped(t, "at first", *w.Get(), "1", 1, "")
			setTexts(t, s, "name", "2", "nested.deep", "x")
			waitForTyped(t, w, "a change and a new key", func(v *typed) bool { return v.Name == "2" && len(v.Nested.Deep) == 1 })
			setChanges(t, s, config.Delete("name"))
			waitForTyped(t, w, "the default after a deletion", func(v *typed) bool { return v.Name == "from the struct" })
			setTexts(t, s, "name", "3")
			waitForTyped(t, w, "the key that was set again", func(v *typed) bool { return v.Name == "3" })
		},
	},
	{
		Name: "config/watch-rejects", Needs: writable,
		Rule: "a bad update is reported once, and the last good settings stay; the next good update is applied",
		Run:  testWatchRejects,
	},
	{
		Name: "config/watch-recreated", Needs: writable,
		Rule: "a Watcher has what is set after an operator has deleted its store and somebody has made it again",
		Run:  testWatchRecreated,
	},
	{
		Name: "config/watch-callbacks", Needs: writable,
		Rule: "OnChange is called with the settings before and after each change, without gaps, and not after Close",
		Run:  testWatchCallbacks,
	},
}

func wantTyped(t *suite.T, what string, got typed, name string, limit int, deep string) {
	if got.Name != name || got.Limit != limit || strings.Join(got.Nested.Deep, " ") != deep {
		t.Errorf("%s: got %+v, want the name %q, the limit %d and the nested value %q", what, got, name, limit, deep)
	}
}

// wantRejected demands the error for a limit of "s3cret" under a name.
func wantRejected(t *suite.T, err error, name string) {
	t.WantCode("a limit that is no number", err, fairlead.Invalid)
	var r *config.Rejected
	if !errors.As(err, &r) || !strings.EqualFold(r.Key, "limit") || !strings.Contains(r.Layer, name) {
		t.Errorf("the error %v does not name the key and the layer", err)
	}
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error %v holds the value", err)
	}
}

// watchTyped sets settings under a new name, watches them, and keeps what the
// watcher reports.
func watchTyped(t *suite.T, keysAndValues ...string) (*config.Source, *config.Watcher[typed], *reports) {
	name := t.Name()
	s := t.Source(name)
	setTexts(t, s, keysAndValues...)
	r := &reports{name: name}
	w, err := config.Watch[typed](t.Context(), config.From(t.Provider(), name), config.OnError(r.add))
	t.Must(err)
	t.Cleanup(w.Close)
	return s, w, r
}

func testWatchRecreated(t *suite.T) {
	facet, _ := t.Description().Facet(fairlead.KV)
	if native, _ := t.Description().Facet(fairlead.Config); native.Facet != "" || !facet.Has(kv.Manage) {
		t.Logf("the settings are not in a store that can be deleted")
		return
	}
	s, w, r := watchTyped(t, "name", "before")
	t.Must(s.Close(t.Context()))
	t.Must(kv.DeleteStore(t.Context(), t.Provider(), r.name))
	again := t.Source(r.name)
	setTexts(t, again, "name", "after")
	waitForTyped(t, w, "what was set after the store was made again", func(c *typed) bool { return c.Name == "after" })
	setTexts(t, again, "name", "later")
	waitForTyped(t, w, "what was set later", func(c *typed) bool { return c.Name == "later" })
}

// waitForTyped waits until a watcher has the wanted settings.
func waitForTyped(t *suite.T, w *config.Watcher[typed], what string, ok func(*typed) bool) {
	t.Eventually(t.Patience(), "the watcher has "+what, func() bool { return ok(w.Get()) })
}

// reports holds the errors that a watcher reports.
type reports struct {
	name string
	mu   sync.Mutex
	all  []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err)
}

func (r *reports) list() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.all...)
}

func testWatchRejects(t *suite.T) {
	s, w, r := watchTyped(t, "name", "good", "limit", "5")
	setTexts(t, s, "limit", "s3cret")
	t.Eventually(t.Patience(), "the bad update is reported", func() bool { return len(r.list()) > 0 && w.Err() != nil })
	wantRejected(t, r.list()[0], r.name)
	wantTyped(t, "after a bad update", *w.Get(), "good", 5, "")
	setTexts(t, s, "limit", "-5")
	t.Eventually(t.Patience(), "the update that Validate refuses is reported", func() bool { return len(r.list()) > 1 })
	wantTyped(t, "after an update that Validate refuses", *w.Get(), "good", 5, "")
	setTexts(t, s, "limit", "6")
	waitForTyped(t, w, "the good update", func(v *typed) bool { return v.Limit == 6 })
	t.Eventually(t.Patience(), "nothing is wrong any more", func() bool { return w.Err() == nil })
	if all := r.list(); len(all) != 2 {
		t.Errorf("%d reports came for two bad updates: %v", len(all), all)
	}
}

func testWatchCallbacks(t *suite.T) {
	s, w, _ := watchTyped(t, "limit", "0")
	var mu sync.Mutex
	var calls []string
	last := 0
	w.OnChange(func(old, now *typed) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprintf("%d to %d", old.Limit, now.Limit))
		if old.Limit != last || now.Limit <= old.Limit {
			t.Errorf("OnChange got the limits %d and %d after %d", old.Limit, now.Limit, last)
		}
		last = now.Limit
	})
	for i := range 20 {
		setTexts(t, s, "limit", fmt.Sprint(i+1))
		if i < 5 { // later ones may be merged
			waitForTyped(t, w, "update number "+fmt.Sprint(i+1), func(v *typed) bool { return v.Limit == i+1 })
		}
	}
	waitForTyped(t, w, "the last of 20 updates", func(v *typed) bool { return v.Limit == 20 })
	t.Must(w.Close(t.Context()))
	mu.Lock()
	before := len(calls)
	mu.Unlock()
	setTexts(t, s, "limit", "21")
	time.Sleep(suite.Quiet)
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != before || last != 20 || w.Get().Limit != 20 {
		t.Errorf("after Close: the settings are %+v; all calls: %q", *w.Get(), calls)
	}
}
