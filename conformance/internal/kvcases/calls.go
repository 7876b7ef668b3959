package kvcases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// callCases are about contexts, closing, calls of many keys and concurrent calls.
var callCases = []suite.Case{
	newCase("canceled-before", "a call whose context was canceled before fails with Canceled and applies nothing", func(t *suite.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		endedBefore(t, ctx, fairlead.Canceled)
	}),
	newCase("deadline-before", "a call whose deadline has passed before fails with DeadlineExceeded and applies nothing", func(t *suite.T) {
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		endedBefore(t, ctx, fairlead.DeadlineExceeded)
	}),
	newCase("deadline-honest", "a write that failed with its deadline is absent unless the error is UnknownOutcome; an acknowledged write is present", testDeadlineHonest),
	newCase("neighbour-gives-up", "callers that give up do not affect concurrent callers", testNeighbourGivesUp),
	newCase("close-store", "every call on a closed store fails with Closed, closing it again is no error, another handle still works", testCloseStore),
	newCase("close-under-way", "calls in progress while the store is closed return their result or Closed, and acknowledged writes are there", testCloseUnderWay),
	newCase("getmany", "GetMany returns one result for each key, in the order of the keys, also for missing and duplicate keys", testGetMany),
	newCase("getmany-batches", "GetMany takes more keys than one driver call holds, and each result belongs to its key", func(t *suite.T) {
		s := t.Store()
		keys := numberedKeys("k", max(t.Facet().Limits.MaxBatch, 1)+17)
		written := slices.Concat(keys[:20], keys[len(keys)-20:])
		putAll(t, s, written)
		wantFound(t, s, keys, func(key string) bool { return slices.Contains(written, key) })
	}),
	newCase("getmany-none", "GetMany of no key returns nothing and no error; one bad key among good ones makes it fail", func(t *suite.T) {
		s := t.Store()
		found, err := s.GetMany(t.Context())
		t.Must(err)
		if len(found) != 0 {
			t.Errorf("GetMany of no key found %v", found)
		}
		put(t, s, "k", "1")
		_, err = s.GetMany(t.Context(), "k", "")
		t.WantCode("GetMany with an empty key", err, fairlead.Invalid)
		wantFound(t, s, []string{"none"}, func(string) bool { return false })
	}),
	newFullCase("getmany-large", "GetMany of values of 12 MB in total returns them all", func(t *suite.T) {
		s, value := t.Store(), strings.Repeat("v", large)
		keys := numberedKeys("k", 12)
		forEachConcurrently(4, keys, func(key string) { putSame(t, s, key, key+value) })
		found, err := s.GetMany(t.Context(), keys...)
		t.Must(err)
		for i, key := range keys {
			if string(found[i].Value) != key+value {
				t.Errorf("the value of %s has %d bytes, want %d", key, len(found[i].Value), len(key+value))
			}
		}
	}),
	newCase("read-own-write", "each of 16 concurrent callers reads its acknowledged writes through the handle", func(t *suite.T) {
		s := t.Store()
		suite.RunConcurrently(16, func(i int) {
			key := fmt.Sprint("k", i)
			for n := range 20 {
				if !putSame(t, s, key, fmt.Sprint(n)) {
					return
				}
				wantValue(t, s, key, fmt.Sprint(n))
			}
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("Delete: %v", err)
			}
			wantMissing(t, s, key)
		})
	}),
	newCase("no-crosstalk", "64 concurrent callers, with all kinds of calls and sizes, each get the results of their own keys", testNoCrosstalk),
	newCase("failures-apart", "calls that fail do not make concurrent calls fail", testFailuresApart),
}

// putSame writes a key with the key as its value, and reports whether that
// succeeded. Any goroutine may call it.
func putSame(t *suite.T, s *kv.Store, key, value string) bool {
	_, err := s.Put(t.Context(), key, []byte(value))
	if err != nil {
		t.Errorf("Put of %s: %v", quoteBriefly(key), err)
	}
	return err == nil
}

// call is one call of a store under its name.
type call struct {
	name string
	do   func(ctx context.Context, s *kv.Store) error
}

// calls returns one call of each kind that the provider claims. They write the
// key "new" and the key "k", whose revision is given.
func calls(t *suite.T, rev kv.Revision) []call {
	list := []call{
		{"Get", func(ctx context.Context, s *kv.Store) error { _, err := s.Get(ctx, "k"); return err }},
		{"GetMany", func(ctx context.Context, s *kv.Store) error { _, err := s.GetMany(ctx, "k", "l"); return err }},
		{"Put", func(ctx context.Context, s *kv.Store) error { _, err := s.Put(ctx, "new", nil); return err }},
		{"Delete", func(ctx context.Context, s *kv.Store) error { return s.Delete(ctx, "k") }},
	}
	claimed := map[fairlead.Claim][]call{
		kv.CAS: {
			{"Create", func(ctx context.Context, s *kv.Store) error { _, err := s.Create(ctx, "new", nil); return err }},
			{"CAS", func(ctx context.Context, s *kv.Store) error { _, err := s.CAS(ctx, "k", nil, rev); return err }},
			{"DeleteIf", func(ctx context.Context, s *kv.Store) error { return s.DeleteIf(ctx, "k", rev) }},
		},
		kv.Txn:   {{"Txn", func(ctx context.Context, s *kv.Store) error { _, err := s.Txn(ctx, kv.ThenPut("new", nil)); return err }}},
		kv.List:  {{"ListPage", func(ctx context.Context, s *kv.Store) error { _, err := s.ListPage(ctx, "", "", 5); return err }}},
		kv.Watch: {{"Watch", func(ctx context.Context, s *kv.Store) error { _, err := s.Watch(ctx, ""); return err }}},
	}
	for _, claim := range []fairlead.Claim{kv.CAS, kv.Txn, kv.List, kv.Watch} {
		if t.Facet().Has(claim) {
			list = append(list, claimed[claim]...)
		}
	}
	return list
}

func endedBefore(t *suite.T, ctx context.Context, want fairlead.Code) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	for _, c := range calls(t, rev) {
		wantReturn(t, c.name, t.Patience(), func() { t.WantCode(c.name, c.do(ctx, s), want) })
	}
	wantEntry(t, s, "k", "1", rev)
	wantMissing(t, s, "new")
}

// testDeadlineHonest gives writes deadlines from zero to long enough.
func testDeadlineHonest(t *suite.T) {
	s := t.Store()
	keys := numberedKeys("k", 200)
	outcome := make([]error, len(keys))
	suite.RunConcurrently(20, func(worker int) {
		for i := worker; i < len(keys); i += 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*i)*time.Microsecond)
			_, outcome[i] = s.Put(ctx, keys[i], []byte(keys[i]))
			cancel()
		}
	})
	wantOutcomes(t, s, keys, outcome)
}

// wantOutcomes compares the results of writes with the stored values.
func wantOutcomes(t *suite.T, s *kv.Store, keys []string, outcome []error) {
	found, err := s.GetMany(t.Context(), keys...)
	t.Must(err)
	for i, key := range keys {
		code := fairlead.CodeOf(outcome[i])
		switch {
		case found[i].Exists() && string(found[i].Value) != key:
			t.Errorf("key %s has the value %s", key, quoteBriefly(string(found[i].Value)))
		case code == 0 && !found[i].Exists():
			t.Errorf("the write of %s was acknowledged, and the key is missing", key)
		case code != 0 && code != fairlead.UnknownOutcome && found[i].Exists():
			t.Errorf("the write of %s failed with %v and was applied", key, outcome[i])
		case code != 0 && code.Retry() == fairlead.RetryNever:
			t.Errorf("the write of %s failed with %v", key, outcome[i])
		}
	}
}

func testNeighbourGivesUp(t *suite.T) {
	s := t.Store()
	suite.RunConcurrently(32, func(i int) {
		for n := range 16 {
			key := fmt.Sprintf("k%d-%d", i, n)
			if i%2 == 0 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n*n*100)*time.Microsecond)
				_, _ = s.Put(ctx, key, []byte("gives up"))
				cancel()
			} else if putSame(t, s, key, key) {
				wantValue(t, s, key, key)
			}
		}
	})
}

func testCloseStore(t *suite.T) {
	name := t.Name()
	s, other := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)
	rev := put(t, s, "k", "1")
	t.Must(s.Close(t.Context()))
	for _, c := range calls(t, rev) {
		wantReturn(t, c.name, t.Patience(), func() { t.WantCode(c.name, c.do(t.Context(), s), fairlead.Closed) })
	}
	t.Must(s.Close(t.Context()))
	wantEntry(t, other, "k", "1", rev)
	wantMissing(t, other, "new")
}

func testCloseUnderWay(t *suite.T) {
	name := t.Name()
	s, other := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)
	keys := numberedKeys("k", 2000)
	outcome := make([]error, len(keys))
	var started sync.WaitGroup
	started.Add(16)
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := w; i < len(keys); i += 16 {
				_, outcome[i] = s.Put(t.Context(), keys[i], []byte(keys[i]))
				if i == w {
					started.Done()
				}
			}
		})
	}
	started.Wait()
	wantReturn(t, "two concurrent Close", t.Patience(), func() {
		suite.RunConcurrently(2, func(int) {
			if err := s.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	})
	wantReturn(t, "the calls in progress at Close", t.Patience(), writers.Wait)
	for i, err := range outcome {
		if err != nil && !errors.Is(err, fairlead.Closed) {
			t.Errorf("the write of %s, in progress at Close: want no error or Closed, got %v", keys[i], err)
		}
		if errors.Is(err, fairlead.Closed) {
			outcome[i] = nil
			keys[i] = keys[0] // not sent: its absence is checked below
		}
	}
	wantOutcomes(t, other, keys, outcome)
}

func testGetMany(t *suite.T) {
	s := t.Store()
	putAll(t, s, []string{"a", "b", "c"})
	wantFound(t, s, []string{"c", "x", "a", "c", "b", "y", "x", "a"}, func(key string) bool { return key <= "c" })
}

// wantFound reads keys, each of which has the key as its value or is missing.
func wantFound(t *suite.T, s *kv.Store, keys []string, exists func(string) bool) {
	found, err := s.GetMany(t.Context(), keys...)
	t.Must(err)
	if len(found) != len(keys) {
		t.Fatalf("GetMany of %d keys returned %d answers", len(keys), len(found))
	}
	for i, key := range keys {
		f := found[i]
		want := ""
		if exists(key) {
			want = key
		}
		if f.Key != key || f.Exists() != exists(key) || string(f.Value) != want || (f.Revision != "") != f.Exists() {
			t.Errorf("answer %d of GetMany, of %q: got %+v", i, key, f)
		}
	}
}

func testNoCrosstalk(t *suite.T) {
	s := t.Store()
	suite.RunConcurrently(64, func(i int) {
		key := fmt.Sprint("k", i)
		for n := range 6 {
			value := strings.Repeat(fmt.Sprintf("%d.%d,", i, n), 1+(i*n)%7*300)
			rev, err := s.Put(t.Context(), key, []byte(value))
			if err != nil {
				t.Errorf("Put of %s: %v", key, err)
				return
			}
			wantEntry(t, s, key, value, rev)
			wantMissing(t, s, key+"-missing")
			if n == 3 {
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("Delete of %s: %v", key, err)
				}
				wantMissing(t, s, key)
			}
		}
	})
}

// badCall is a call that must fail.
type badCall struct {
	what string
	want fairlead.Code
	call func() error
}

func testFailuresApart(t *suite.T) {
	s := t.Store()
	put(t, s, "exists", "1")
	bad := []badCall{
		{"Get of a missing key", fairlead.NotFound, func() error {
			_, err := s.Get(t.Context(), "missing")
			return err
		}},
		{"Put of an empty key", fairlead.Invalid, func() error {
			_, err := s.Put(t.Context(), "", nil)
			return err
		}},
	}
	if t.Facet().Has(kv.CAS) {
		bad = append(bad, badCall{"Create of an existing key", fairlead.Conflict, func() error {
			_, err := s.Create(t.Context(), "exists", nil)
			return err
		}})
	}
	suite.RunConcurrently(48, func(i int) {
		for n := range 5 {
			if i%4 == 0 {
				b := bad[(i/4+n)%len(bad)]
				t.WantCode(b.what, b.call(), b.want)
				continue
			}
			key := fmt.Sprintf("k%d-%d", i, n)
			if putSame(t, s, key, key) {
				wantValue(t, s, key, key)
			}
		}
	})
}
