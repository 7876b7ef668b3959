package kvcases

import (
	"fmt"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// casCase is a case that needs the claim CAS.
func casCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return newCase(name, rule, run, append(needs, kv.CAS)...)
}

// casCases are about writes with a condition.
var casCases = []suite.Case{
	casCase("create-new", "Create writes a key that does not exist, also one that was deleted", func(t *suite.T) {
		s := t.Store()
		rev, err := s.Create(t.Context(), "k", []byte("1"))
		t.Must(err)
		wantEntry(t, s, "k", "1", rev)
		t.Must(s.Delete(t.Context(), "k"))
		again, err := s.Create(t.Context(), "k", []byte("2"))
		t.Must(err)
		wantEntry(t, s, "k", "2", again)
		if again == rev {
			t.Errorf("the key was created twice under the revision %q", rev)
		}
	}),
	casCase("create-exists", "Create of a key that exists (created, put, or with an empty value) is a Conflict and changes nothing", func(t *suite.T) {
		s := t.Store()
		created, err := s.Create(t.Context(), "created", []byte("1"))
		t.Must(err)
		revs := map[string]kv.Revision{"created": created, "put": put(t, s, "put", "1"), "empty": put(t, s, "empty", "")}
		for key, rev := range revs {
			_, err := s.Create(t.Context(), key, []byte("2"))
			t.WantCode("Create of "+key, err, fairlead.Conflict)
			e, err := s.Get(t.Context(), key)
			t.Must(err)
			if e.Revision != rev || string(e.Value) == "2" {
				t.Errorf("after the conflict, %s has the value %q and the revision %q, want %q", key, e.Value, e.Revision, rev)
			}
		}
	}),
	casCase("create-put-over", "a Put over a created key writes, and makes its revision stale", func(t *suite.T) {
		s := t.Store()
		rev, err := s.Create(t.Context(), "k", []byte("1"))
		t.Must(err)
		second := put(t, s, "k", "2")
		wantConflict(t, s, "k", rev)
		wantEntry(t, s, "k", "2", second)
	}),
	casCase("create-race", "of 32 concurrent Creates of a key exactly one succeeds, and its value stays", func(t *suite.T) {
		raceWriters(t, func(s *kv.Store, key, value string, _ kv.Revision) error {
			_, err := s.Create(t.Context(), key, []byte(value))
			return err
		}, false)
	}),
	casCase("cas-ok", "CAS with the revision of a Put, a Get, a CAS or a Create writes, and returns the new revision", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "0")
		for i := range 3 {
			next, err := s.CAS(t.Context(), "k", []byte(fmt.Sprint(i)), rev)
			t.Must(err)
			wantEntry(t, s, "k", fmt.Sprint(i), next)
			rev = next
		}
		rev = wantValue(t, s, "k", "2").Revision
		_, err := s.CAS(t.Context(), "k", nil, rev)
		t.Must(err)
		created, err := s.Create(t.Context(), "c", nil)
		t.Must(err)
		_, err = s.CAS(t.Context(), "c", []byte("x"), created)
		t.Must(err)
		wantValue(t, s, "c", "x")
	}),
	casCase("cas-stale", "CAS with an older revision of the key is a Conflict and changes nothing", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "k", "1")
		rev := put(t, s, "k", "2")
		wantConflict(t, s, "k", stale)
		wantEntry(t, s, "k", "2", rev)
	}),
	casCase("cas-missing", "CAS of a key that never existed is a Conflict and creates nothing", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "other", "1")
		wantConflict(t, s, "k", rev)
		wantMissing(t, s, "k")
	}),
	casCase("cas-garbage", "CAS and DeleteIf with a revision that no write ever returned are a Conflict or Invalid, and change nothing", testCASGarbage),
	casCase("cas-deleted", "CAS with the last revision of a deleted key is a Conflict and does not bring it back", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		t.Must(s.Delete(t.Context(), "k"))
		wantConflict(t, s, "k", rev)
		wantMissing(t, s, "k")
	}),
	casCase("cas-recreated", "CAS with a revision from before a delete is a Conflict after the key was created again, even with the same value", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "k", "same")
		t.Must(s.Delete(t.Context(), "k"))
		rev, err := s.Create(t.Context(), "k", []byte("same"))
		t.Must(err)
		wantConflict(t, s, "k", stale)
		wantEntry(t, s, "k", "same", rev)
	}),
	casCase("cas-aba", "CAS is a Conflict after the value was changed and changed back", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "k", "A")
		put(t, s, "k", "B")
		rev := put(t, s, "k", "A")
		wantConflict(t, s, "k", stale)
		wantEntry(t, s, "k", "A", rev)
	}),
	casCase("cas-expired", "CAS and DeleteIf with the revision of an expired key are a Conflict, also after it was created again", testCASExpired, kv.TTL),
	casCase("cas-race", "of 32 concurrent CAS with one revision exactly one succeeds, and its value stays", func(t *suite.T) {
		raceWriters(t, func(s *kv.Store, key, value string, rev kv.Revision) error {
			_, err := s.CAS(t.Context(), key, []byte(value), rev)
			return err
		}, true)
	}),
	casCase("cas-counter", "16 clients that increment one key by CAS lose no increment", testCASCounter),
	casCase("conflict-current", "a Conflict that tells the present entry tells what a read returns, never an earlier state", testConflictCurrent),
	casCase("delete-if-ok", "DeleteIf with the present revision deletes", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		t.Must(s.DeleteIf(t.Context(), "k", rev))
		wantMissing(t, s, "k")
	}),
	casCase("delete-if-stale", "DeleteIf with an older revision of the key is a Conflict, and the key stays", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "k", "1")
		rev := put(t, s, "k", "2")
		t.WantCode("DeleteIf", s.DeleteIf(t.Context(), "k", stale), fairlead.Conflict)
		wantEntry(t, s, "k", "2", rev)
	}),
	casCase("delete-if-missing", "DeleteIf of a key that never existed, or was deleted, is a Conflict", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		t.WantCode("DeleteIf of a key that never was", s.DeleteIf(t.Context(), "never", rev), fairlead.Conflict)
		t.Must(s.DeleteIf(t.Context(), "k", rev))
		t.WantCode("DeleteIf of a deleted key", s.DeleteIf(t.Context(), "k", rev), fairlead.Conflict)
	}),
	casCase("delete-if-race", "of 32 concurrent DeleteIf with one revision exactly one succeeds", func(t *suite.T) {
		s := t.Store()
		rev := put(t, s, "k", "1")
		var won atomic.Int64
		suite.RunConcurrently(32, func(int) {
			if err := s.DeleteIf(t.Context(), "k", rev); err == nil {
				won.Add(1)
			} else {
				t.WantCode("DeleteIf", err, fairlead.Conflict)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d of 32 DeleteIf succeeded", won.Load())
		}
		wantMissing(t, s, "k")
	}),
}

// wantConflict demands that CAS fails with Conflict.
func wantConflict(t *suite.T, s *kv.Store, key string, rev kv.Revision) {
	_, err := s.CAS(t.Context(), key, []byte("must not be written"), rev)
	t.WantCode(fmt.Sprintf("CAS of %q with the revision %q", key, rev), err, fairlead.Conflict)
}

const raceRounds = 5

// raceWriters makes 32 callers write one key through two handles, which it
// returns; exactly one must succeed.
func raceWriters(t *suite.T, write func(s *kv.Store, key, value string, rev kv.Revision) error, exists bool) []*kv.Store {
	name := t.Name()
	handles := []*kv.Store{t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)}
	for round := range raceRounds {
		key := fmt.Sprint("k", round)
		var rev kv.Revision
		if exists {
			rev = put(t, handles[0], key, "before")
		}
		var winners [32]atomic.Bool
		suite.RunConcurrently(32, func(i int) {
			err := write(handles[i%2], key, fmt.Sprint(i), rev)
			winners[i].Store(err == nil)
			if err != nil {
				t.WantCode("the write of a caller that did not win", err, fairlead.Conflict)
			}
		})
		won := 0
		for i := range winners {
			if winners[i].Load() {
				won++
				wantValue(t, handles[0], key, fmt.Sprint(i))
			}
		}
		if won != 1 {
			t.Fatalf("%d of 32 concurrent writes of one key succeeded", won)
		}
	}
	return handles
}

func testCASGarbage(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	garbage := []kv.Revision{"0", "garbage", "-1", "18446744073709551615", "99999999999999999999999", "*", " ", "\x00", rev + "0", "0" + rev, rev + " "}
	for _, g := range garbage {
		for _, key := range []string{"k", "missing"} {
			_, err := s.CAS(t.Context(), key, []byte("2"), g)
			wantRefused(t, fmt.Sprintf("CAS of %q with the revision %q", key, g), err)
			err = s.DeleteIf(t.Context(), key, g)
			wantRefused(t, fmt.Sprintf("DeleteIf of %q with the revision %q", key, g), err)
		}
	}
	_, err := s.CAS(t.Context(), "k", []byte("2"), "")
	t.WantCode("CAS with an empty revision", err, fairlead.Invalid)
	t.WantCode("DeleteIf with an empty revision", s.DeleteIf(t.Context(), "k", ""), fairlead.Invalid)
	wantEntry(t, s, "k", "1", rev)
	wantMissing(t, s, "missing")
}

func wantRefused(t *suite.T, what string, err error) {
	if code := fairlead.CodeOf(err); code != fairlead.Conflict && code != fairlead.Invalid {
		t.Errorf("%s: want Conflict or Invalid, got %v", what, err)
	}
}

func testCASExpired(t *suite.T) {
	s := t.Store()
	ttl := exactTTL(t, 50*time.Millisecond)
	rev := put(t, s, "k", "1", kv.WithTTL(ttl))
	waitGone(t, s, "k", latestExpiry(t, ttl))
	wantConflict(t, s, "k", rev)
	t.WantCode("DeleteIf of an expired key", s.DeleteIf(t.Context(), "k", rev), fairlead.Conflict)
	wantMissing(t, s, "k")
	second, err := s.Create(t.Context(), "k", []byte("1"))
	t.Must(err)
	wantConflict(t, s, "k", rev)
	wantEntry(t, s, "k", "1", second)
}

func testCASCounter(t *suite.T) {
	name := t.Name()
	handles := []*kv.Store{t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)}
	put(t, handles[0], "n", "0")
	const clients, steps = 16, 6
	suite.RunConcurrently(clients, func(i int) {
		for range steps {
			if err := countUp(t, handles[i%2]); err != nil {
				t.Errorf("counting up: %v", err)
				return
			}
		}
	})
	wantValue(t, handles[0], "n", fmt.Sprint(clients*steps))
}

// countUp increments the key "n" by Get and CAS, until that succeeds.
func countUp(t *suite.T, s *kv.Store) error {
	for {
		e, err := s.Get(t.Context(), "n")
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
			return err
		}
		_, err = s.CAS(t.Context(), "n", []byte(fmt.Sprint(n+1)), e.Revision)
		if fairlead.CodeOf(err) != fairlead.Conflict {
			return err
		}
	}
}

// testConflictCurrent makes writes of a key fail in all of its states. An error
// need not carry the present entry, but an entry that it carries must be right.
func testConflictCurrent(t *suite.T) {
	name := t.Name()
	s, other := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)
	stale := put(t, s, "k", "stale")
	for _, value := range []string{"1", "", "2"} {
		put(t, other, "k", value)
		checkCurrent(t, s, stale)
		_, err := s.Create(t.Context(), "k", nil)
		t.WantCode("Create of a key that exists", err, fairlead.Conflict)
		wantCurrent(t, s, err)
	}
	t.Must(other.Delete(t.Context(), "k"))
	checkCurrent(t, s, stale)
	put(t, other, "k", "again")
	checkCurrent(t, s, stale)
}

// checkCurrent makes a CAS and a DeleteIf fail, and checks the entries that their
// errors carry.
func checkCurrent(t *suite.T, s *kv.Store, stale kv.Revision) {
	_, err := s.CAS(t.Context(), "k", []byte("must not be written"), stale)
	t.WantCode("CAS with a stale revision", err, fairlead.Conflict)
	wantCurrent(t, s, err)
	err = s.DeleteIf(t.Context(), "k", stale)
	t.WantCode("DeleteIf with a stale revision", err, fairlead.Conflict)
	wantCurrent(t, s, err)
}

// wantCurrent compares the entry that an error carries, if any, with a read.
func wantCurrent(t *suite.T, s *kv.Store, conflict error) {
	current, told := kv.Current(conflict)
	if !told {
		return
	}
	read, err := s.GetMany(t.Context(), "k")
	t.Must(err)
	if current.Key != "k" || current.Revision != read[0].Revision || string(current.Value) != string(read[0].Value) {
		t.Errorf("the conflict tells the value %q with the revision %q, a read returns %q with %q",
			current.Value, current.Revision, read[0].Value, read[0].Revision)
	}
}
