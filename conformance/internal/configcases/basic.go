package configcases

import (
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
)

// basicCases are about reading and writing settings.
var basicCases = []suite.Case{
	{
		Name: "config/new-name",
		Rule: "the snapshot of a name that was never set is empty, is no error, and has a version",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			wantValues(t, "Snapshot", takeSnapshot(t, s))
			state, err := s.Next(t.Within(t.Patience()), "")
			t.Must(err)
			wantValues(t, "Next", state)
		},
	},
	{
		Name: "config/get-missing",
		Rule: "a key that does not exist is NotFound",
		Run: func(t *suite.T) {
			_, err := t.Source(t.Name()).Get(t.Context(), "missing")
			t.WantCode("Get", err, fairlead.NotFound)
		},
	},
	{
		Name: "config/set-get", Needs: writable,
		Rule: "a value that was set is read at once, by key and in a snapshot; after another Set, the new value is read",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			for _, value := range []string{"first", "second", "first"} {
				setTexts(t, s, "k", value)
				v, err := s.Get(t.Context(), "k")
				t.Must(err)
				if string(v.Data) != value {
					t.Errorf("Get: %q, want %q", v.Data, value)
				}
				wantValues(t, "Snapshot", takeSnapshot(t, s), "k", value)
			}
		},
	},
	{
		Name: "config/set-many", Needs: writable,
		Rule: "one Set can set and delete many keys, and leaves all others as they were",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			setTexts(t, s, "a", "1", "b", "2", "c", "3", "d", "4")
			setChanges(t, s, config.Put("b", []byte("two")), config.Delete("c"), config.Put("e", []byte("5")))
			wantValues(t, "Snapshot", takeSnapshot(t, s), "a", "1", "b", "two", "d", "4", "e", "5")
		},
	},
	{
		Name: "config/many-keys", Needs: writable, Full: true,
		Rule: "a snapshot holds all of 1,500 keys",
		Run:  testManyKeys,
	},
	{
		Name: "config/binary", Needs: writable,
		Rule: "values are stored unchanged",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			for _, value := range []string{suite.AllBytes(), "\x00", "line\r\n\r\n", "\xff\xfe", " ", "{}", "\"quoted\"", "null"} {
				setTexts(t, s, "k", value)
				wantValues(t, "Snapshot", takeSnapshot(t, s), "k", value)
			}
		},
	},
	{
		Name: "config/empty-value", Needs: writable,
		Rule: "a key with an empty value exists",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			setChanges(t, s, config.Put("nil", nil), config.Put("empty", []byte{}))
			wantValues(t, "Snapshot", takeSnapshot(t, s), "nil", "", "empty", "")
			if _, err := s.Get(t.Context(), "nil"); err != nil {
				t.Errorf("Get of an empty value: %v", err)
			}
		},
	},
	{
		Name: "config/large-value", Needs: writable,
		Rule: "a value of a million bytes, or of the limit if that is less, is stored",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			value := strings.Repeat("0123456789", 100_000)
			if limit := t.Facet().Limits.MaxValueBytes; limit > 0 && limit < len(value) {
				value = value[:limit]
			}
			setTexts(t, s, "k", value)
			if got := textsOf(takeSnapshot(t, s))["k"]; got != value {
				t.Errorf("the value read has %d bytes and differs; want the %d bytes that were set", len(got), len(value))
			}
		},
	},
	{
		Name: "config/over-max", Needs: writable,
		Rule: "a value above the limit is TooLarge, and nothing of its Set is applied",
		Run:  testOverMax,
	},
	{
		Name: "config/odd-keys", Needs: writable,
		Rule: "keys are distinct whatever they contain (slashes, dots, other scripts, 512 bytes); a bad key is refused, and nothing of its Set is applied",
		Run:  testOddKeys,
	},
	{
		Name: "config/delete", Needs: writable,
		Rule: "a deleted key is gone, deleting it again is no error, and it can be set again",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			setTexts(t, s, "k", "v", "other", "o")
			for range 2 {
				setChanges(t, s, config.Delete("k"))
				wantValues(t, "after Delete", takeSnapshot(t, s), "other", "o")
				_, err := s.Get(t.Context(), "k")
				t.WantCode("Get", err, fairlead.NotFound)
			}
			setTexts(t, s, "k", "again")
			wantValues(t, "set again", takeSnapshot(t, s), "k", "again", "other", "o")
		},
	},
	{
		Name: "config/delete-visible", Needs: withWrite(config.DeleteVisible),
		Rule: "a deleted key differs from an empty one, in a snapshot and in the result of Next",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			version := setTexts(t, s, "gone", "v", "empty", "v")
			answers := startNext(t, s, version)
			setChanges(t, s, config.Delete("gone"), config.Put("empty", nil))
			wantValues(t, "Snapshot", takeSnapshot(t, s), "empty", "")
			state := wantResult(t, answers, "after a Set")
			if state = stateAfterPassing(t, s, state); len(state.Values) != 1 {
				t.Errorf("Next: %q, want only the empty key", textsOf(state))
			}
		},
	},
	{
		Name: "config/names-isolated", Needs: writable,
		Rule: "settings of one name, and their deletion, do not show under another name",
		Run: func(t *suite.T) {
			name := t.Name()
			one, two := t.Source(name), t.Source(name+"-2")
			setTexts(t, one, "k", "one")
			setTexts(t, two, "k", "two", "x", "two")
			setChanges(t, one, config.Delete("k"))
			wantValues(t, "the first name", takeSnapshot(t, one))
			wantValues(t, "the second name", takeSnapshot(t, two), "k", "two", "x", "two")
		},
	},
	{
		Name: "config/reopen", Needs: writable,
		Rule: "settings outlive the handle that set them",
		Run: func(t *suite.T) {
			name := t.Name()
			s := t.Source(name)
			setTexts(t, s, "k", "v")
			t.Must(s.Close(t.Context()))
			wantValues(t, "opened again", takeSnapshot(t, t.Source(name)), "k", "v")
		},
	},
	{
		Name: "config/alias-set", Needs: writable,
		Rule: "the caller of Set may change the bytes that it passed",
		Run: func(t *suite.T) {
			s := t.Source(t.Name())
			data := []byte("value")
			version := setChanges(t, s, config.Put("k", data))
			copy(data, "xxxxx")
			wantValues(t, "Snapshot", takeSnapshot(t, s), "k", "value")
			if now := takeSnapshot(t, s).Version; now != version {
				t.Errorf("the version is %q, and was %q; nothing changed", now, version)
			}
		},
	},
	{
		Name: "config/alias-snapshot", Needs: writable,
		Rule: "a caller may change the map and the bytes of a state that it got, and no other caller sees the change",
		Run:  testAliasSnapshot,
	},
}

// stateAfterPassing returns the present state, given one that may be outdated.
func stateAfterPassing(t *suite.T, s *config.Source, state config.State) config.State {
	if now := takeSnapshot(t, s); now.Version != state.Version {
		return followUntil(t, s, state.Version, "the present version", func(got config.State) bool { return got.Version == now.Version })
	}
	return state
}

func testManyKeys(t *suite.T) {
	s := t.Source(t.Name())
	batch := 100
	if limit := t.Facet().Limits.MaxTxnOps; limit > 0 {
		batch = min(batch, limit)
	}
	want := map[string]string{}
	for len(want) < 1500 {
		var pairs []string
		for range batch {
			key := "k" + strings.Repeat("x", len(want)%7) + "/" + string(rune('a'+len(want)%26)) + strings.Repeat("0", len(want)/26)
			want[key] = key
			pairs = append(pairs, key, key)
		}
		setTexts(t, s, pairs...)
	}
	got := textsOf(takeSnapshot(t, s))
	for key, value := range want {
		if got[key] != value {
			t.Fatalf("%d keys were set and %d are there; the key %.40q is not", len(want), len(got), key)
		}
	}
}

func testOverMax(t *suite.T) {
	limit := t.Facet().Limits.MaxValueBytes
	if limit == 0 {
		return
	}
	s := t.Source(t.Name())
	setTexts(t, s, "k", "before")
	_, err := s.Set(t.Context(), config.Put("other", nil), config.Put("k", make([]byte, limit+1)))
	t.WantCode("Set beyond the limit", err, fairlead.TooLarge)
	wantValues(t, "afterwards", takeSnapshot(t, s), "k", "before")
}

func testOddKeys(t *suite.T) {
	s := t.Source(t.Name())
	keys := []string{
		"a", "A", "a/b", "a/", "/a", "a//b", "a.b", ".a", "a.", "..", "a b", "a\tb", "a\nb", "a\x00b", "a:b", "a|b", "a||b",
		"*", "a*", "?", "[a]", "{a}", "#", "%2F", "a%2Fb", "\\", "'", "\"", "$", "ключ", "鍵", "é", "e\u0301", "🔑",
		"fairlead.probe", strings.Repeat("k", 512), strings.Repeat("k", 511),
	}
	var pairs []string
	for _, key := range keys {
		setTexts(t, s, key, "value of "+key)
		pairs = append(pairs, key, "value of "+key)
	}
	wantValues(t, "Snapshot", takeSnapshot(t, s), pairs...)
	for _, key := range keys {
		if v, err := s.Get(t.Context(), key); err != nil || string(v.Data) != "value of "+key {
			t.Errorf("Get of the key %.40q: %.40q, %v", key, v.Data, err)
		}
	}
	badKeys(t, s)
	wantValues(t, "after Sets with bad keys", takeSnapshot(t, s), pairs...)
	setChanges(t, s, config.Delete("a/b"))
	if left := len(takeSnapshot(t, s).Values); left != len(keys)-1 {
		t.Errorf("%d keys are left after the deletion of one of %d", left, len(keys))
	}
}

// badKeys tries keys that must be refused, each together with a valid one.
func badKeys(t *suite.T, s *config.Source) {
	good := config.Put("a", []byte("new"))
	for key, want := range map[string]fairlead.Code{
		"": fairlead.Invalid, "a\xff": fairlead.Invalid, strings.Repeat("k", 513): fairlead.TooLarge,
	} {
		_, err := s.Get(t.Context(), key)
		t.WantCode(fmt.Sprintf("Get of the key %.20q", key), err, want)
		_, err = s.Set(t.Context(), good, config.Put(key, nil))
		t.WantCode(fmt.Sprintf("Set of the key %.20q", key), err, want)
	}
	_, err := s.Set(t.Context(), good, good)
	t.WantCode("Set of one key twice", err, fairlead.Invalid)
	_, err = s.Set(t.Context())
	t.WantCode("Set of nothing", err, fairlead.Invalid)
}

func testAliasSnapshot(t *suite.T) {
	s := t.Source(t.Name())
	version := setTexts(t, s, "k", "value")
	spoil := func(state config.State) {
		copy(state.Values["k"].Data, "xxxxx")
		state.Values["other"] = config.Value{}
		delete(state.Values, "k")
	}
	spoil(takeSnapshot(t, s))
	spoil(nextState(t, s, ""))
	answers := startNext(t, s, version)
	setTexts(t, s, "more", "m")
	after := wantResult(t, answers, "after a Set")
	wantValues(t, "Next", after, "k", "value", "more", "m")
	spoil(after)
	wantValues(t, "Snapshot", takeSnapshot(t, s), "k", "value", "more", "m")
	wantValues(t, "Next from the beginning", nextState(t, s, ""), "k", "value", "more", "m")
}
