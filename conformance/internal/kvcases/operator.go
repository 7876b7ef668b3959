package kvcases

import (
	"runtime"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// operatorCases are about values that other programs write into a store.
var operatorCases = []suite.Case{
	newOperatorCase("foreign-read", "a value that another program wrote is read as it is, or is an error with the code Internal for its key only; a Put replaces it", func(t *suite.T) {
		s := storeWithForeignValue(t, "b")
		wantValue(t, s, "a", "1")
		wantValue(t, s, "c", "1")
		wantNothingOrInternal(t, "Get", errorOf(s.Get(t.Context(), "b")))
		put(t, s, "b", "2")
		wantValue(t, s, "b", "2")
	}),
	newOperatorCase("foreign-delete", "a value that another program wrote can be deleted", func(t *suite.T) {
		s := storeWithForeignValue(t, "b")
		t.Must(s.Delete(t.Context(), "b"))
		wantMissing(t, s, "b")
		wantValue(t, s, "a", "1")
	}),
	newOperatorCase("foreign-list", "a listing shows a value that another program wrote as it is, or fails with an Internal that names its key; when the value is replaced, the listing is whole", func(t *suite.T) {
		s := storeWithForeignValue(t, "b")
		page, err := s.ListPage(t.Context(), "", "", 10)
		wantNothingOrInternal(t, "List", err)
		switch {
		case err != nil && !strings.Contains(err.Error(), `"b"`):
			t.Errorf("the error of List does not name the key: %v", err)
		case err == nil && len(page.Entries) != 3:
			t.Errorf("List returned %d entries, want 3", len(page.Entries))
		}
		put(t, s, "b", "2")
		if got := listPages(t, s, "", 10); len(got) != 3 {
			t.Errorf("after the value was replaced, List returned %d entries, want 3", len(got))
		}
	}, kv.List),
	newOperatorCase("foreign-watch", "a value that another program wrote does not end a watcher, or hold up the changes after it; it is reported once at most", func(t *suite.T) {
		name := t.Name()
		s := t.StoreOf(t.Provider(), name)
		put(t, s, "b", "1")
		w := openWatcher(t, s, "")
		replaceValue(t, s, name, "b")
		put(t, s, "after", "2")
		reports := 0
		for ctx := t.Within(t.Patience()); ; {
			events, err := w.Next(ctx)
			if hasKey(events, "after") {
				return
			}
			if err != nil {
				t.WantCode("Next of a watcher, after another program wrote a value", err, fairlead.Internal)
				if reports++; reports > 1 {
					t.Fatalf("a value that another program wrote was reported twice: %v", err)
				}
			}
		}
	}, kv.Watch),
}

// newOperatorCase is a case of the kv facet that changes the backend with its own
// tools.
func newOperatorCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	c := newCase(name, rule, run, needs...)
	c.Operate = true
	return c
}

// storeWithForeignValue returns a store with the keys a, b and c, of which another
// program has replaced one.
func storeWithForeignValue(t *suite.T, key string) *kv.Store {
	name := t.Name()
	s := t.StoreOf(t.Provider(), name)
	for _, k := range []string{"a", "b", "c"} {
		put(t, s, k, "1")
	}
	replaceValue(t, s, name, key)
	return s
}

// replaceValue has another program replace a value that the case wrote. The case
// cannot run if that changes nothing, for example because a command names another
// server.
func replaceValue(t *suite.T, s *kv.Store, name, key string) {
	before, err := s.Get(t.Context(), key)
	t.Must(err)
	t.Must(t.Operator().ReplaceValue(t.Context(), name, key))
	after, err := s.Get(t.Context(), key)
	if err == nil && string(after.Value) == string(before.Value) && after.Revision == before.Revision {
		t.Block("replacing the value of the key %q in the store %s changed nothing; does it reach the same server, with the same prefix?", key, name)
		runtime.Goexit()
	}
}

func errorOf(_ kv.Entry, err error) error { return err }

func wantNothingOrInternal(t *suite.T, what string, err error) {
	if err != nil {
		t.WantCode(what+" of a value that another program wrote", err, fairlead.Internal)
	}
}
