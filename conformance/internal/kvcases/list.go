package kvcases

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// listCase is a case that needs the claim List.
func listCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return newCase(name, rule, run, append(needs, kv.List)...)
}

// listCases are about listings.
var listCases = []suite.Case{
	listCase("list-prefix", "a listing has exactly the keys that start with the prefix, including the key that equals the prefix", func(t *suite.T) {
		s := t.Store()
		putAll(t, s, []string{"user/", "user/1", "user/2/x", "user", "users", "userx/1", "USER/1", "a/user/1"})
		wantKeys(t, s, "user/", "user/", "user/1", "user/2/x")
		wantKeys(t, s, "user", "user", "user/", "user/1", "user/2/x", "users", "userx/1")
	}),
	listCase("list-boundary", "the range of a prefix is exact also where its last byte is followed by the highest byte, or by the next one", func(t *suite.T) {
		s := t.Store()
		putAll(t, s, []string{"a/", "a/\U0010ffff", "a/\U0010ffff\U0010ffff", "a/z", "a0", "a", "b", "a.", "\U0010ffff", "\U0010ffff\U0010ffff", "\u007f", "\u0080"})
		wantKeys(t, s, "a/", "a/", "a/z", "a/\U0010ffff", "a/\U0010ffff\U0010ffff")
		wantKeys(t, s, "\U0010ffff", "\U0010ffff", "\U0010ffff\U0010ffff")
		wantKeys(t, s, "\u007f", "\u007f")
		wantKeys(t, s, "a/\U0010ffff", "a/\U0010ffff", "a/\U0010ffff\U0010ffff")
	}),
	listCase("list-literal", "a prefix is taken as it stands: no character of it is a pattern", func(t *suite.T) {
		s := t.Store()
		putAll(t, s, []string{"a*b", "axb", "a?b", "[a]b", "ab", "a.b", "a>b", "a%b", "a_b", "a\\b"})
		for _, prefix := range []string{"a*", "a?", "[a]", "a.", "a>", "a%", "a_", "a\\"} {
			wantKeys(t, s, prefix, prefix+"b")
		}
	}),
	listCase("list-sorted", "keys come in ascending order of their bytes, not in the order of a language or of numbers", func(t *suite.T) {
		s := t.Store()
		sorted := []string{"\x00", "\x00\x00", "\x01", " ", "10", "2", "A", "B", "Z", "_", "a", "a\x00", "a\x00b", "a b", "a-b", "a/b", "aa", "b", "z", "\u007f", "é", "ｚ", "\ufffd", "😀", "\U0010ffff"}
		putAll(t, s, sorted)
		wantKeys(t, s, "", sorted...)
		for _, limit := range []int{1, 2, 7} {
			if got := keysOfEntries(listPages(t, s, "", limit)); !slices.Equal(got, sorted) {
				t.Errorf("in pages of %d: %q, want %q", limit, got, sorted)
			}
		}
	}),
	listCase("list-pages", "1,500 entries come in pages of any size, each entry once", testListPages),
	listCase("list-iterator", "List yields the same entries as the pages, and its loop can be left early", testListIterator),
	listCase("list-entries", "a listing returns the same values and revisions as Get", func(t *suite.T) {
		s := t.Store()
		put(t, s, "a", "first value")
		put(t, s, "a", "")
		put(t, s, "b", "\x00\xff\r\n")
		put(t, s, "c", strings.Repeat("c", 70_000))
		for _, e := range listPages(t, s, "", 2) {
			wantEntry(t, s, e.Key, string(e.Value), e.Revision)
		}
		wantKeys(t, s, "", "a", "b", "c")
	}),
	listCase("list-empty", "a listing of an empty store, and of a prefix that no key has, is empty and no error", func(t *suite.T) {
		s := t.Store()
		wantKeys(t, s, "")
		put(t, s, "b", "x")
		for _, prefix := range []string{"a", "b0", "c", "\U0010ffff"} {
			wantKeys(t, s, prefix)
		}
	}),
	listCase("list-deleted", "a listing shows no deleted key, and shows one that was written again", func(t *suite.T) {
		s := t.Store()
		putAll(t, s, []string{"a", "b", "c"})
		t.Must(s.Delete(t.Context(), "b"))
		wantKeys(t, s, "", "a", "c")
		put(t, s, "b", "again")
		t.Must(s.Delete(t.Context(), "a"))
		wantKeys(t, s, "", "b", "c")
	}),
	listCase("list-refused", "a token that no page gave, and a limit below 1, are Invalid; a prefix that is not UTF-8 likewise", func(t *suite.T) {
		s := t.Store()
		putAll(t, s, []string{"a", "b"})
		for _, token := range []string{"garbage", "0", " ", "\x00", "-1:a"} {
			_, err := s.ListPage(t.Context(), "", token, 5)
			t.WantCode(fmt.Sprintf("ListPage with the token %q", token), err, fairlead.Invalid)
		}
		for _, limit := range []int{0, -1} {
			_, err := s.ListPage(t.Context(), "", "", limit)
			t.WantCode(fmt.Sprintf("ListPage with the limit %d", limit), err, fairlead.Invalid)
		}
		_, err := s.ListPage(t.Context(), "a\xff", "", 5)
		t.WantCode("ListPage of a prefix that is not UTF-8", err, fairlead.Invalid)
	}),
	listCase("list-during-writes", "while keys are created and deleted, a listing has no key twice, and has all keys that stay", testListDuringWrites),
	newFullCase("list-large", "a listing of values of 12 MB in total returns them all", func(t *suite.T) {
		s, value := t.Store(), strings.Repeat("v", large)
		keys := numberedKeys("k", 12)
		forEachConcurrently(4, keys, func(key string) { putSame(t, s, key, key+value) })
		entries := listPages(t, s, "", 100)
		if !slices.Equal(keysOfEntries(entries), keys) {
			t.Errorf("listed %q, want %q", keysOfEntries(entries), keys)
		}
		for _, e := range entries {
			if string(e.Value) != e.Key+value {
				t.Errorf("the value of %s has %d bytes, want %d", e.Key, len(e.Value), len(e.Key)+len(value))
			}
		}
	}, kv.List),
	listCase("alias-list", "a change to a slice that a listing returned does not change the store", func(t *suite.T) {
		s := t.Store()
		put(t, s, "k", "before")
		copy(listPages(t, s, "", 5)[0].Value, "spoilt")
		wantValue(t, s, "k", "before")
		if got := string(listPages(t, s, "", 5)[0].Value); got != "before" {
			t.Errorf("the next listing has the value %q", got)
		}
	}),
	listCase("snapshot-list", "all pages of a listing show the state at its first page: no later write, no later delete, the old values and revisions", testSnapshotList, kv.SnapshotList),
	listCase("snapshot-concurrent", "a listing while two keys change together in transactions shows both in one state", testSnapshotConcurrent, kv.SnapshotList, kv.Txn),
}

// wantKeys compares the keys of a listing.
func wantKeys(t *suite.T, s *kv.Store, prefix string, want ...string) {
	if got := keysOfEntries(listPages(t, s, prefix, 100)); !slices.Equal(got, want) {
		t.Errorf("the listing of %q is %q, want %q", prefix, got, want)
	}
}

func testListPages(t *suite.T) {
	s := t.Store()
	keys := numberedKeys("k", 1500)
	revs := putAll(t, s, keys)
	for _, limit := range []int{97, 500, 1500, 1000, 5000} {
		entries := listPages(t, s, "k", limit)
		if !slices.Equal(keysOfEntries(entries), keys) {
			t.Errorf("pages of %d list %d keys, want each of %d once", limit, len(entries), len(keys))
		}
		for _, e := range entries {
			if string(e.Value) != e.Key || e.Revision != revs[e.Key] {
				t.Errorf("the entry of %s has the value %q and the revision %q, want %q", e.Key, e.Value, e.Revision, revs[e.Key])
			}
		}
	}
}

func testListIterator(t *suite.T) {
	s := t.Store()
	keys := numberedKeys("k", 1203)
	putAll(t, s, keys)
	var got []string
	for e, err := range s.List(t.Context(), "k") {
		t.Must(err)
		got = append(got, e.Key)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("the iterator yields %d keys, want each of %d once", len(got), len(keys))
	}
	for e, err := range s.List(t.Context(), "k00007") {
		t.Must(err)
		if e.Key != "k00007" {
			t.Errorf("the iterator begins with %s", e.Key)
		}
		break
	}
}

func testListDuringWrites(t *suite.T) {
	s := t.Store()
	stable := numberedKeys("s", 120)
	putAll(t, s, stable)
	// Writers create and delete other keys between the stable ones.
	write := func(writer, round int) error {
		key := fmt.Sprintf("s%05d-%d", (round*7)%120, writer)
		if round%2 == 1 {
			return s.Delete(t.Context(), fmt.Sprintf("s%05d-%d", ((round-1)*7)%120, writer))
		}
		_, err := s.Put(t.Context(), key, []byte(key))
		return err
	}
	runWhileWriting(t, 6, write, func(c *concurrent) {
		for round := range 4 {
			seen := map[string]bool{}
			for _, e := range listPagesWith(t, s, "s", 7+round, func() { c.waitForWrites(2) }) {
				seen[e.Key] = true
				if string(e.Value) != e.Key {
					t.Errorf("the entry of %s has the value %q", e.Key, e.Value)
				}
			}
			for _, key := range stable {
				if !seen[key] {
					t.Errorf("the key %s, which no writer touches, is left out", key)
				}
			}
		}
	})
}

func testSnapshotList(t *suite.T) {
	s := t.Store()
	keys := numberedKeys("k", 40)
	revs := putAll(t, s, keys)
	page, err := s.ListPage(t.Context(), "k", "", 10)
	t.Must(err)
	put(t, s, "k00000-new", "x")
	put(t, s, "k00035-new", "x")
	put(t, s, "k00030", "changed")
	t.Must(s.Delete(t.Context(), "k00031"))
	t.Must(s.Delete(t.Context(), "k00001"))
	all := page.Entries
	for page.Token != "" {
		page, err = s.ListPage(t.Context(), "k", page.Token, 9)
		t.Must(err)
		all = append(all, page.Entries...)
	}
	if !slices.Equal(keysOfEntries(all), keys) {
		t.Errorf("the listing has the keys %q, want the %d of its beginning", keysOfEntries(all), len(keys))
	}
	for _, e := range all {
		if string(e.Value) != e.Key || e.Revision != revs[e.Key] {
			t.Errorf("%s is shown with the value %q and the revision %q, want the first ones", e.Key, e.Value, e.Revision)
		}
	}
	if _, err := s.Get(t.Context(), "k00031"); fairlead.CodeOf(err) != fairlead.NotFound {
		t.Errorf("Get of the deleted key: %v", err)
	}
	wantValue(t, s, "k00030", "changed")
}

func testSnapshotConcurrent(t *suite.T) {
	s := t.Store()
	both := func(n int) error {
		v := []byte(fmt.Sprint(n))
		_, err := s.Txn(t.Context(), kv.ThenPut("a", v), kv.ThenPut("z", v))
		return err
	}
	t.Must(both(-1))
	putAll(t, s, numberedKeys("m", 30))
	runWhileWriting(t, 1, func(_, round int) error { return both(round) }, func(c *concurrent) {
		for range 10 {
			entries := listPagesWith(t, s, "", 8, func() { c.waitForWrites(1) })
			first, last := entries[0], entries[len(entries)-1]
			if first.Key != "a" || last.Key != "z" || string(first.Value) != string(last.Value) || first.Revision != last.Revision {
				t.Errorf("one listing shows %s=%s and %s=%s, which were always written together", first.Key, first.Value, last.Key, last.Value)
			}
		}
	})
}
