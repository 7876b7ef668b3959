package kvcases

import (
	"fmt"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// callsOfClaims has the calls that need each claim. A claim that no call needs can
// only be required.
var callsOfClaims = []struct {
	claim fairlead.Claim
	call  func(t *suite.T, s *kv.Store) error
}{
	{kv.CAS, func(t *suite.T, s *kv.Store) error { _, err := s.Create(t.Context(), "k", nil); return err }},
	{kv.CAS, func(t *suite.T, s *kv.Store) error { _, err := s.CAS(t.Context(), "k", nil, "1"); return err }},
	{kv.CAS, func(t *suite.T, s *kv.Store) error { return s.DeleteIf(t.Context(), "k", "1") }},
	{kv.Txn, func(t *suite.T, s *kv.Store) error { _, err := s.Txn(t.Context(), kv.ThenPut("k", nil)); return err }},
	{kv.List, func(t *suite.T, s *kv.Store) error { _, err := s.ListPage(t.Context(), "", "", 1); return err }},
	{kv.TTL, func(t *suite.T, s *kv.Store) error {
		_, err := s.Put(t.Context(), "k", nil, kv.WithTTL(exactTTL(t, 1<<40)))
		return err
	}},
	{kv.Watch, func(t *suite.T, s *kv.Store) error { _, err := s.Watch(t.Context(), ""); return err }},
	{kv.Manage, func(t *suite.T, _ *kv.Store) error {
		_, err := kv.Stores(t.Context(), t.Provider(), t.Name())
		return err
	}},
	{kv.Manage, func(t *suite.T, _ *kv.Store) error { return kv.DeleteStore(t.Context(), t.Provider(), t.Name()) }},
	{kv.SnapshotList, nil}, {kv.WatchEvery, nil}, {kv.WatchTxn, nil}, {kv.ExpiryEvents, nil}, {kv.LinearizableRead, nil},
	{fairlead.DurableFsync, nil}, {fairlead.DurableQuorum, nil}, {fairlead.Shared, nil},
}

// absentCases returns a case for each claim that may be absent.
func absentCases() []suite.Case {
	var cases []suite.Case
	for _, info := range suite.ClaimsOf(fairlead.KV) {
		name := strings.ToLower(strings.TrimPrefix(string(info.Claim), "kv."))
		rule := fmt.Sprintf("without the claim %s, demanding it at Open answers Unsupported and names it, and so does every call that needs it, which changes nothing", info.Claim)
		c := newCase("absent-"+name, rule, func(t *suite.T) { wantAbsent(t, info.Claim) })
		c.Lacks = info.Claim
		cases = append(cases, c)
	}
	return cases
}

func wantAbsent(t *suite.T, claim fairlead.Claim) {
	s := t.Store()
	other, err := kv.Open(t.Context(), t.Provider(), t.Name(), kv.Require(claim))
	t.WantCode(fmt.Sprintf("Open that requires %s", claim), err, fairlead.Unsupported)
	if err == nil {
		t.Must(other.Close(t.Context()))
	} else if !strings.Contains(err.Error(), string(claim)) {
		t.Errorf("the error does not name %s: %v", claim, err)
	}
	for _, a := range callsOfClaims {
		if a.claim == claim && a.call != nil {
			t.WantCode(fmt.Sprintf("a call that needs %s", claim), a.call(t, s), fairlead.Unsupported)
		}
	}
	wantMissing(t, s, "k")
}

// manageCases are about whole stores.
var manageCases = []suite.Case{
	newCase("stores-listed", "Stores returns the names that start with the prefix, including closed stores, each once, in order", func(t *suite.T) {
		name := t.Name()
		want := []string{name, name + "-x", name + ".a", name + ".b"}
		for _, n := range append([]string{name[:len(name)-1] + "9"}, want...) {
			s := t.StoreOf(t.Provider(), n)
			put(t, s, "k", "1")
			t.Must(s.Close(t.Context()))
		}
		for prefix, want := range map[string][]string{name: want, name + ".": want[2:], name + ".a": want[2:3], name + "*": nil, name + ".c": nil} {
			got, err := kv.Stores(t.Context(), t.Provider(), prefix)
			t.Must(err)
			if !slices.Equal(got, want) {
				t.Errorf("the stores that start with %s are %q, want %q", prefix, got, want)
			}
		}
	}, kv.Manage),
	newCase("store-deleted", "DeleteStore removes the store's name and its keys; opened again, the store is empty and works", func(t *suite.T) {
		name := t.Name()
		s := t.StoreOf(t.Provider(), name)
		keys := numberedKeys("k", 300)
		putAll(t, s, keys)
		t.Must(s.Close(t.Context()))
		t.Must(kv.DeleteStore(t.Context(), t.Provider(), name))
		names, err := kv.Stores(t.Context(), t.Provider(), name)
		t.Must(err)
		if len(names) != 0 {
			t.Errorf("after DeleteStore, Stores has %q", names)
		}
		again := t.StoreOf(t.Provider(), name)
		wantFound(t, again, keys, func(string) bool { return false })
		if t.Facet().Has(kv.List) {
			wantKeys(t, again, "")
		}
		put(t, again, "k", "new")
		wantValue(t, again, "k", "new")
	}, kv.Manage),
	newCase("store-deleted-open", "an open handle of a deleted store fails, or finds it empty", func(t *suite.T) {
		name := t.Name()
		s := t.StoreOf(t.Provider(), name)
		put(t, s, "k", "1")
		t.Must(kv.DeleteStore(t.Context(), t.Provider(), name))
		if e, err := s.Get(t.Context(), "k"); err == nil {
			t.Errorf("a handle of the deleted store still reads %q", e.Value)
		}
		if _, err := s.Put(t.Context(), "l", []byte("2")); err == nil {
			wantValue(t, t.StoreOf(t.Provider(), name), "l", "2") // acknowledged, so not lost
		}
	}, kv.Manage),
	newCase("store-deleted-watch", "a watcher of a deleted store shows what is written to the store afterwards, or fails with Compacted, NotFound or Closed; it does not go silent", func(t *suite.T) {
		name := t.Name()
		s := t.StoreOf(t.Provider(), name)
		put(t, s, "before", "1")
		w := openWatcher(t, s, "")
		t.Must(kv.DeleteStore(t.Context(), t.Provider(), name))
		put(t, t.StoreOf(t.Provider(), name), "after", "2")
		for ctx := t.Within(t.Patience()); ; {
			events, err := w.Next(ctx)
			switch fairlead.CodeOf(err) {
			case fairlead.Compacted, fairlead.NotFound, fairlead.Closed:
				return
			case 0, fairlead.Unavailable:
			default:
				t.Fatalf("the watcher of a deleted store: %v", err)
			}
			if hasKey(events, "after") {
				return
			}
		}
	}, kv.Manage, kv.Watch),
	newCase("store-deleted-others", "DeleteStore leaves all other stores as they are, also where one name begins with the other; deleting a missing store is no error", func(t *suite.T) {
		name := t.Name()
		others := []string{name + ".x", name + "-x", name + "x", name + ".x.y"}
		for _, n := range others {
			put(t, t.StoreOf(t.Provider(), n), "k", n)
		}
		t.Must(kv.DeleteStore(t.Context(), t.Provider(), name))
		put(t, t.StoreOf(t.Provider(), name), "k", "1")
		t.Must(kv.DeleteStore(t.Context(), t.Provider(), name))
		t.Must(kv.DeleteStore(t.Context(), t.Provider(), name))
		for _, n := range others {
			wantValue(t, t.StoreOf(t.Provider(), n), "k", n)
		}
	}, kv.Manage),
}

// sharedCases are about two Opens of one backend.
var sharedCases = []suite.Case{
	newCase("shared-sees", "the writes and deletes of one Open are seen by another", func(t *suite.T) {
		s, other := sharedStores(t)
		put(t, s, "k", "1")
		put(t, s, "l", "1")
		t.Must(s.Delete(t.Context(), "l"))
		put(t, other, "m", "2")
		t.Eventually(t.Patience(), "both Opens see the other's writes", func() bool {
			k, err := other.GetMany(t.Context(), "k", "l")
			t.Must(err)
			m, err := s.GetMany(t.Context(), "m")
			t.Must(err)
			return k[0].Exists() && !k[1].Exists() && string(k[0].Value) == "1" && m[0].Exists()
		})
	}, fairlead.Shared),
	newCase("shared-cas", "conditions hold across two Opens: a Create of an existing key and a stale CAS through the second Open are a Conflict", func(t *suite.T) {
		s, other := sharedStores(t)
		stale := put(t, s, "k", "1")
		rev := put(t, s, "k", "2")
		_, err := other.Create(t.Context(), "k", []byte("3"))
		t.WantCode("Create", err, fairlead.Conflict)
		wantConflict(t, other, "k", stale)
		_, err = other.CAS(t.Context(), "k", []byte("4"), rev)
		t.Must(err)
		wantConflict(t, s, "k", rev)
	}, fairlead.Shared, kv.CAS),
	newCase("shared-watch", "a watch of one Open sees the writes of another, and can continue after a revision of the other", func(t *suite.T) {
		s, other := sharedStores(t)
		w := openWatcher(t, other, "")
		rev := put(t, s, "k", "1")
		wantEventOf(t, w, "put k=1", rev)
		again := openWatcher(t, other, "", kv.After(rev))
		put(t, s, "l", "2")
		wantEvents(t, readEvents(t, again, 1), "put l=2")
	}, fairlead.Shared, kv.Watch),
	newCase("shared-survives", "a store still works when one of its two Opens is closed", func(t *suite.T) {
		name := t.Name()
		p := t.Open()
		s, other := t.StoreOf(p, name), t.StoreOf(t.Provider(), name)
		rev := put(t, s, "k", "1")
		t.Must(p.Close(t.Context()))
		t.Eventually(t.Patience(), "the other Open sees the write", func() bool {
			_, err := other.Get(t.Context(), "k")
			return err == nil
		})
		wantEntry(t, other, "k", "1", rev)
	}, fairlead.Shared),
}

// sharedStores opens one store through two Opens.
func sharedStores(t *suite.T) (*kv.Store, *kv.Store) {
	name := t.Name()
	return t.StoreOf(t.Provider(), name), t.StoreOf(t.Open(), name)
}
