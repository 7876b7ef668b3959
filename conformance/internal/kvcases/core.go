package kvcases

import (
	"bytes"
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// coreCases are about the operations on one key that every store has.
var coreCases = []suite.Case{
	newCase("put-get", "Get returns exactly the bytes that were put, with the revision that Put returned", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "v\x00\xff")
		wantEntry(t, s, "k", "v\x00\xff", rev)
	}),
	newCase("get-missing", "a key that was never written is NotFound, and the error contains no value", func(t *suite.T) {
		s := t.Store()
		put(t, s, "other", "x")
		wantMissing(t, s, "k")
	}),
	newCase("overwrite", "Get returns the value of the last Put", func(t *suite.T) {
		s := t.Store()
		put(t, s, "k", "a longer first value")
		rev := put(t, s, "k", "2")
		wantEntry(t, s, "k", "2", rev)
	}),
	newCase("delete-gone", "a deleted key is NotFound, its neighbours stay, and it can be written again", func(t *suite.T) {
		s := t.Store()
		put(t, s, "k", "1")
		put(t, s, "k2", "2")
		t.Must(s.Delete(t.Context(), "k"))
		wantMissing(t, s, "k")
		wantValue(t, s, "k2", "2")
		put(t, s, "k", "3")
		wantValue(t, s, "k", "3")
	}),
	newCase("delete-missing", "Delete of a key that does not exist is no error, also the second time", func(t *suite.T) {
		s := t.Store()
		t.Must(s.Delete(t.Context(), "never"))
		put(t, s, "k", "1")
		t.Must(s.Delete(t.Context(), "k"))
		t.Must(s.Delete(t.Context(), "k"))
	}),
	newCase("empty-value", "a key with an empty or nil value exists, and differs from a missing key", testEmptyValue),
	newCase("binary-value", "a value that contains every byte comes back unchanged", func(t *suite.T) {
		s := t.Store()
		var all strings.Builder
		for i := range 256 {
			all.Write([]byte{byte(i), byte(255 - i), '\r', '\n'})
		}
		put(t, s, "k", all.String())
		wantValue(t, s, "k", all.String())
	}),
	newCase("value-1000000", "every provider accepts a value of 1,000,000 bytes, and returns all of it", func(t *suite.T) {
		if limit := t.Facet().Limits.MaxValueBytes; limit < 1_000_000 {
			t.Errorf("the published limit of values is %d bytes; at least 1,000,000 are demanded", limit)
		}
		roundTripSize(t, 1_000_000)
	}),
	newCase("value-max", "a value at the published limit (at 8 MiB, where that is less) comes back complete", func(t *suite.T) {
		roundTripSize(t, min(t.Facet().Limits.MaxValueBytes, 8<<20))
	}),
	newCase("value-over-max", "a value over the published limit is TooLarge, the message says both sizes, nothing is written, the store still works", testValueOverMax),
	newCase("alias-put", "a change to the slice after Put returned does not change the store", func(t *suite.T) {
		s := t.Store()
		value := []byte("before")
		_, err := s.Put(t.Context(), "k", value)
		t.Must(err)
		copy(value, "after!")
		wantValue(t, s, "k", "before")
	}),
	newCase("alias-get", "a change to a slice that Get or GetMany returned changes neither the store nor another result", testAliasGet),
	newCase("rev-changes", "every Put gives the key a new revision, even with the same value", func(t *suite.T) {
		s := t.Store()
		first, second := put(t, s, "k", "same"), put(t, s, "k", "same")
		if first == second {
			t.Errorf("two puts of the same value have the same revision %q", first)
		}
		wantEntry(t, s, "k", "same", second)
	}),
	newCase("rev-stable", "a key that is not written keeps its revision, also when it is read and when other keys change", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		for i := range 5 {
			put(t, s, fmt.Sprintf("other%d", i), "x")
			wantEntry(t, s, "k", "1", rev)
		}
		t.Must(s.Delete(t.Context(), "other1"))
		wantEntry(t, s, "k", "1", rev)
	}),
	newCase("rev-never-reused", "a key never has the same revision twice, not even after it was deleted and created again", testRevNeverReused),
	newCase("reopen", "closing a handle keeps the data: the store has it when it is opened again by name", func(t *suite.T) {
		name := t.Name()
		s := t.StoreOf(t.Provider(), name)
		rev := put(t, s, "k", "kept")
		t.Must(s.Close(t.Context()))
		wantEntry(t, t.StoreOf(t.Provider(), name), "k", "kept", rev)
	}),
	newCase("stores-isolated", "no operation on one store is seen in another, also where one name begins with the other", testStoresIsolated),
}

func testEmptyValue(t *suite.T) {
	s := t.Store()
	put(t, s, "nil", "x")
	_, err := s.Put(t.Context(), "nil", nil)
	t.Must(err)
	put(t, s, "empty", "")
	wantValue(t, s, "nil", "")
	wantValue(t, s, "empty", "")
	wantMissing(t, s, "missing")
	found, err := s.GetMany(t.Context(), "nil", "missing", "empty")
	t.Must(err)
	if len(found) != 3 || !found[0].Exists() || found[1].Exists() || !found[2].Exists() {
		t.Errorf("GetMany confuses an empty value with a missing key: %+v", found)
	}
}

func roundTripSize(t *suite.T, size int) {
	s := t.Store()
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(i * 31 >> 3)
	}
	_, err := s.Put(t.Context(), "k", value)
	t.Must(err)
	e, err := s.Get(t.Context(), "k")
	t.Must(err)
	if !bytes.Equal(e.Value, value) {
		t.Errorf("a value of %d bytes came back changed, with %d bytes", size, len(e.Value))
	}
}

func testValueOverMax(t *suite.T) {
	s := t.Store()
	limit := t.Facet().Limits.MaxValueBytes
	rev := put(t, s, "k", "before")
	_, err := s.Put(t.Context(), "k", make([]byte, limit+1))
	t.WantCode(fmt.Sprintf("Put of %d bytes", limit+1), err, fairlead.TooLarge)
	if err != nil {
		for _, number := range []int{limit, limit + 1} {
			if !strings.Contains(err.Error(), fmt.Sprint(number)) {
				t.Errorf("the error does not say %d: %v", number, err)
			}
		}
	}
	wantEntry(t, s, "k", "before", rev)
	put(t, s, "k", "after")
}

func testAliasGet(t *suite.T) {
	s := t.Store()
	put(t, s, "k", "before")
	spoil := func(b []byte) { copy(b, "spoilt") }
	first, err := s.Get(t.Context(), "k")
	t.Must(err)
	spoil(first.Value)
	wantValue(t, s, "k", "before")
	found, err := s.GetMany(t.Context(), "k", "k")
	t.Must(err)
	spoil(found[0].Value)
	if string(found[1].Value) != "before" {
		t.Errorf("two answers of one GetMany share their bytes: the second reads %q", found[1].Value)
	}
	wantValue(t, s, "k", "before")
}

func testRevNeverReused(t *suite.T) {
	s := t.Store()
	seen := map[kv.Revision]int{}
	for i := range 12 {
		rev := put(t, s, "k", "v")
		if before, ok := seen[rev]; ok {
			t.Errorf("write %d has the revision %q, as write %d had", i, rev, before)
		}
		seen[rev] = i
		if i%3 == 2 {
			t.Must(s.Delete(t.Context(), "k"))
		}
	}
}

func testStoresIsolated(t *suite.T) {
	base := t.Name()
	var stores []*kv.Store
	for _, suffix := range []string{"", ".", ".x", "-x", "x", "_", ".x.y", "X"} {
		stores = append(stores, t.StoreOf(t.Provider(), base+suffix))
	}
	for i, s := range stores {
		wantMissing(t, s, "k")
		put(t, s, "k", fmt.Sprint(i))
		put(t, s, fmt.Sprint("own", i), "x")
	}
	t.Must(stores[0].Delete(t.Context(), "k"))
	wantMissing(t, stores[0], "k")
	for i, s := range stores {
		if i > 0 {
			wantValue(t, s, "k", fmt.Sprint(i))
		}
		wantMissing(t, s, fmt.Sprint("own", (i+1)%len(stores)))
		if t.Facet().Has(kv.List) {
			if got := len(listPages(t, s, "own", 100)); got != 1 {
				t.Errorf("store %d of %d lists %d own keys, want 1", i, len(stores), got)
			}
		}
	}
}
