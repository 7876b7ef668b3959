package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/config"
)

func init() { suites = append(suites, configBasic) }

// configBasic is reading and writing settings.
var configBasic = []Case{
	{
		Name: "config/new-name", Facet: fairlead.Config,
		Rule: "a name under which nothing was ever set is empty, not an error, and has a version",
		Run: func(t *T) {
			s := t.Source(t.Name())
			t.wantValues("Snapshot", t.snapshot(s))
			state, err := s.Next(t.Within(t.Patience()), "")
			t.Must(err)
			t.wantValues("Next", state)
		},
	},
	{
		Name: "config/get-missing", Facet: fairlead.Config,
		Rule: "a key that does not exist is NotFound",
		Run: func(t *T) {
			_, err := t.Source(t.Name()).Get(t.Context(), "missing")
			t.WantCode("Get", err, fairlead.NotFound)
		},
	},
	{
		Name: "config/set-get", Facet: fairlead.Config, Needs: writable,
		Rule: "what was set is read back at once, by key and in a snapshot, and set again it is the new value",
		Run: func(t *T) {
			s := t.Source(t.Name())
			for _, value := range []string{"first", "second", "first"} {
				t.put(s, "k", value)
				v, err := s.Get(t.Context(), "k")
				t.Must(err)
				if string(v.Data) != value {
					t.Errorf("Get: %q, want %q", v.Data, value)
				}
				t.wantValues("Snapshot", t.snapshot(s), "k", value)
			}
		},
	},
	{
		Name: "config/set-many", Facet: fairlead.Config, Needs: writable,
		Rule: "one Set can set and delete many keys, and leaves all others as they were",
		Run: func(t *T) {
			s := t.Source(t.Name())
			t.put(s, "a", "1", "b", "2", "c", "3", "d", "4")
			t.set(s, config.Put("b", []byte("two")), config.Delete("c"), config.Put("e", []byte("5")))
			t.wantValues("Snapshot", t.snapshot(s), "a", "1", "b", "two", "d", "4", "e", "5")
		},
	},
	{
		Name: "config/many-keys", Facet: fairlead.Config, Needs: writable, Profile: Full,
		Rule: "a snapshot holds all of 1,500 keys",
		Run:  configManyKeys,
	},
	{
		Name: "config/binary", Facet: fairlead.Config, Needs: writable,
		Rule: "values are kept to the byte",
		Run: func(t *T) {
			s := t.Source(t.Name())
			for _, value := range []string{allBytes(), "\x00", "line\r\n\r\n", "\xff\xfe", " ", "{}", "\"quoted\"", "null"} {
				t.put(s, "k", value)
				t.wantValues("Snapshot", t.snapshot(s), "k", value)
			}
		},
	},
	{
		Name: "config/empty-value", Facet: fairlead.Config, Needs: writable,
		Rule: "an empty value is present",
		Run: func(t *T) {
			s := t.Source(t.Name())
			t.set(s, config.Put("nil", nil), config.Put("empty", []byte{}))
			t.wantValues("Snapshot", t.snapshot(s), "nil", "", "empty", "")
			if _, err := s.Get(t.Context(), "nil"); err != nil {
				t.Errorf("Get of an empty value: %v", err)
			}
		},
	},
	{
		Name: "config/large-value", Facet: fairlead.Config, Needs: writable,
		Rule: "a value of a million bytes, or of the limit if that is less, is kept",
		Run: func(t *T) {
			s := t.Source(t.Name())
			value := strings.Repeat("0123456789", 100_000)
			if limit := t.Facet().Limits.MaxValueBytes; limit > 0 && limit < len(value) {
				value = value[:limit]
			}
			t.put(s, "k", value)
			if got := texts(t.snapshot(s))["k"]; got != value {
				t.Errorf("%d bytes came back, or others; want the %d that were set", len(got), len(value))
			}
		},
	},
	{
		Name: "config/over-max", Facet: fairlead.Config, Needs: writable,
		Rule: "a value beyond the limit is TooLarge, and nothing of its Set is made",
		Run:  configOverMax,
	},
	{
		Name: "config/odd-keys", Facet: fairlead.Config, Needs: writable,
		Rule: "keys are told apart whatever is in them (slashes, dots, other scripts, 512 bytes), and bad ones are refused with nothing of their Set made",
		Run:  configOddKeys,
	},
	{
		Name: "config/delete", Facet: fairlead.Config, Needs: writable,
		Rule: "a deleted key is gone, deleting it again is no error, and it can be set anew",
		Run: func(t *T) {
			s := t.Source(t.Name())
			t.put(s, "k", "v", "other", "o")
			for range 2 {
				t.set(s, config.Delete("k"))
				t.wantValues("after Delete", t.snapshot(s), "other", "o")
				_, err := s.Get(t.Context(), "k")
				t.WantCode("Get", err, fairlead.NotFound)
			}
			t.put(s, "k", "again")
			t.wantValues("set anew", t.snapshot(s), "k", "again", "other", "o")
		},
	},
	{
		Name: "config/delete-visible", Facet: fairlead.Config, Needs: needs(config.DeleteVisible),
		Rule: "a deleted key is told from an empty one, in a snapshot and by whoever waits",
		Run: func(t *T) {
			s := t.Source(t.Name())
			version := t.put(s, "gone", "v", "empty", "v")
			answers := t.waiting(s, version)
			t.set(s, config.Delete("gone"), config.Put("empty", nil))
			t.wantValues("Snapshot", t.snapshot(s), "empty", "")
			state := t.answered(answers, "after a Set")
			if state = t.settled(s, state); len(state.Values) != 1 {
				t.Errorf("Next: %q, want the empty key alone", texts(state))
			}
		},
	},
	{
		Name: "config/names-isolated", Facet: fairlead.Config, Needs: writable,
		Rule: "settings of one name do not show under another, also not their deletion",
		Run: func(t *T) {
			name := t.Name()
			one, two := t.Source(name), t.Source(name+"-2")
			t.put(one, "k", "one")
			t.put(two, "k", "two", "x", "two")
			t.set(one, config.Delete("k"))
			t.wantValues("the first name", t.snapshot(one))
			t.wantValues("the second name", t.snapshot(two), "k", "two", "x", "two")
		},
	},
	{
		Name: "config/reopen", Facet: fairlead.Config, Needs: writable,
		Rule: "settings outlive the handle that set them",
		Run: func(t *T) {
			name := t.Name()
			s := t.Source(name)
			t.put(s, "k", "v")
			t.Must(s.Close(t.Context()))
			t.wantValues("opened again", t.snapshot(t.Source(name)), "k", "v")
		},
	},
	{
		Name: "config/alias-set", Facet: fairlead.Config, Needs: writable,
		Rule: "the caller of Set may change the bytes that it passed",
		Run: func(t *T) {
			s := t.Source(t.Name())
			data := []byte("value")
			version := t.set(s, config.Put("k", data))
			copy(data, "xxxxx")
			t.wantValues("Snapshot", t.snapshot(s), "k", "value")
			if now := t.snapshot(s).Version; now != version {
				t.Errorf("the version is %q, and was %q; nothing changed", now, version)
			}
		},
	},
	{
		Name: "config/alias-snapshot", Facet: fairlead.Config, Needs: writable,
		Rule: "whoever gets a state may change its map and its bytes, and nobody else sees that",
		Run:  configAliasSnapshot,
	},
}

func allBytes() string {
	var all bytes.Buffer
	for b := range 256 {
		all.WriteByte(byte(b))
	}
	return all.String()
}

// settled returns the state after one that may be a passing one.
func (t *T) settled(s *config.Source, state config.State) config.State {
	if now := t.snapshot(s); now.Version != state.Version {
		return t.until(s, state.Version, "the present version", func(got config.State) bool { return got.Version == now.Version })
	}
	return state
}

func configManyKeys(t *T) {
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
		t.put(s, pairs...)
	}
	got := texts(t.snapshot(s))
	for key, value := range want {
		if got[key] != value {
			t.Fatalf("%d keys were set and %d are there; the key %.40q is not", len(want), len(got), key)
		}
	}
}

func configOverMax(t *T) {
	limit := t.Facet().Limits.MaxValueBytes
	if limit == 0 {
		return
	}
	s := t.Source(t.Name())
	t.put(s, "k", "before")
	_, err := s.Set(t.Context(), config.Put("other", nil), config.Put("k", make([]byte, limit+1)))
	t.WantCode("Set beyond the limit", err, fairlead.TooLarge)
	t.wantValues("afterwards", t.snapshot(s), "k", "before")
}

func configOddKeys(t *T) {
	s := t.Source(t.Name())
	keys := []string{
		"a", "A", "a/b", "a/", "/a", "a//b", "a.b", ".a", "a.", "..", "a b", "a\tb", "a\nb", "a\x00b", "a:b", "a|b", "a||b",
		"*", "a*", "?", "[a]", "{a}", "#", "%2F", "a%2Fb", "\\", "'", "\"", "$", "ключ", "鍵", "é", "e\u0301", "🔑",
		"fairlead.probe", strings.Repeat("k", 512), strings.Repeat("k", 511),
	}
	var pairs []string
	for _, key := range keys {
		t.put(s, key, "value of "+key)
		pairs = append(pairs, key, "value of "+key)
	}
	t.wantValues("Snapshot", t.snapshot(s), pairs...)
	for _, key := range keys {
		if v, err := s.Get(t.Context(), key); err != nil || string(v.Data) != "value of "+key {
			t.Errorf("Get of the key %.40q: %.40q, %v", key, v.Data, err)
		}
	}
	t.badKeys(s)
	t.wantValues("after Sets with bad keys", t.snapshot(s), pairs...)
	t.set(s, config.Delete("a/b"))
	if left := len(t.snapshot(s).Values); left != len(keys)-1 {
		t.Errorf("%d keys are left after the deletion of one of %d", left, len(keys))
	}
}

// badKeys tries keys that are not accepted, beside a good one.
func (t *T) badKeys(s *config.Source) {
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

func configAliasSnapshot(t *T) {
	s := t.Source(t.Name())
	version := t.put(s, "k", "value")
	spoil := func(state config.State) {
		copy(state.Values["k"].Data, "xxxxx")
		state.Values["other"] = config.Value{}
		delete(state.Values, "k")
	}
	spoil(t.snapshot(s))
	spoil(t.next(s, ""))
	answers := t.waiting(s, version)
	t.put(s, "more", "m")
	after := t.answered(answers, "after a Set")
	t.wantValues("Next", after, "k", "value", "more", "m")
	spoil(after)
	t.wantValues("Snapshot", t.snapshot(s), "k", "value", "more", "m")
	t.wantValues("Next from the beginning", t.next(s, ""), "k", "value", "more", "m")
}
