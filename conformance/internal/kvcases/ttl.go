package kvcases

import (
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// ttlCase is a case that needs the claim TTL.
func ttlCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	return newCase(name, rule, run, append(needs, kv.TTL)...)
}

// ttlCases are about times to live.
func ttlCases() []suite.Case {
	return []suite.Case{
		ttlCase("ttl-expires", "a key does not expire before its time to live, counted from the call, and expires soon after", func(t *suite.T) {
			s := t.Store()
			wantLifetime(t, s, exactTTL(t, 300*time.Millisecond), func(ttl time.Duration) error {
				_, err := s.Put(t.Context(), "k", []byte("v"), kv.WithTTL(ttl))
				return err
			})
		}),
		ttlCase("ttl-least", "the shortest published time to live is accepted and does not end early", func(t *suite.T) {
			s := t.Store()
			wantLifetime(t, s, max(t.Facet().Limits.MinTTL, 1), func(ttl time.Duration) error {
				_, err := s.Put(t.Context(), "k", []byte("v"), kv.WithTTL(ttl))
				return err
			})
		}),
		ttlCase("ttl-rounded-up", "a time to live between two steps of the published resolution, and one of 1.5 s, are rounded up, never down", testTTLRounded),
		ttlCase("ttl-refused", "a time to live that is zero, negative or below the least one is Invalid, and nothing is written", testTTLRefused),
		ttlCase("ttl-other-keys", "a time to live applies only to its key: keys written before, after and with the same value stay", func(t *suite.T) {
			s := t.Store()
			ttl := exactTTL(t, 50*time.Millisecond)
			put(t, s, "before", "v")
			put(t, s, "k", "v", kv.WithTTL(ttl))
			put(t, s, "kk", "v")
			waitGone(t, s, "k", latestExpiry(t, ttl))
			wantValue(t, s, "before", "v")
			wantValue(t, s, "kk", "v")
		}),
		ttlCase("ttl-overwrite-clears", "a Put without a time to live clears the earlier one", func(t *suite.T) {
			s := t.Store()
			ttl := exactTTL(t, 200*time.Millisecond)
			put(t, s, "k", "1", kv.WithTTL(ttl))
			rev := put(t, s, "k", "2")
			passTTL(t, s, ttl)
			wantEntry(t, s, "k", "2", rev)
		}),
		ttlCase("ttl-replaced", "a Put with a time to live replaces the earlier one, whether the new one is shorter or longer", testTTLReplaced),
		ttlCase("ttl-recreated", "the time to live of a deleted key does not apply to the key when it is written again", func(t *suite.T) {
			s := t.Store()
			ttl := exactTTL(t, 200*time.Millisecond)
			put(t, s, "k", "1", kv.WithTTL(ttl))
			t.Must(s.Delete(t.Context(), "k"))
			rev := put(t, s, "k", "2")
			passTTL(t, s, ttl)
			wantEntry(t, s, "k", "2", rev)
		}),
		ttlCase("ttl-create", "Create takes a time to live; after it has ended, the key can be created again, and stays", func(t *suite.T) {
			s := t.Store()
			ttl := exactTTL(t, 200*time.Millisecond)
			wantLifetime(t, s, ttl, func(ttl time.Duration) error {
				_, err := s.Create(t.Context(), "k", []byte("v"), kv.WithTTL(ttl))
				return err
			})
			rev, err := s.Create(t.Context(), "k", []byte("2"))
			t.Must(err)
			passTTL(t, s, ttl)
			wantEntry(t, s, "k", "2", rev)
		}, kv.CAS),
		ttlCase("ttl-cas", "CAS takes a time to live, and without one clears the earlier one", testTTLCAS, kv.CAS),
		ttlCase("ttl-conflict", "a write that ends with a Conflict leaves the time to live as it is", testTTLConflict, kv.CAS),
		ttlCase("ttl-txn", "a write of a Txn takes a time to live, and without one clears the earlier one", testTTLTxn, kv.Txn),
		ttlCase("ttl-getmany", "GetMany does not find an expired key, and finds its neighbours", func(t *suite.T) {
			s := t.Store()
			ttl := exactTTL(t, 50*time.Millisecond)
			putAll(t, s, []string{"a", "c"})
			put(t, s, "b", "b", kv.WithTTL(ttl))
			t.Eventually(latestExpiry(t, ttl), "GetMany finds only a and c", func() bool {
				found, err := s.GetMany(t.Context(), "a", "b", "c")
				return err == nil && !found[1].Exists()
			})
			wantFound(t, s, []string{"a", "b", "c"}, func(key string) bool { return key != "b" })
		}),
		ttlCase("ttl-list", "a listing does not show expired keys, and shows their neighbours", func(t *suite.T) {
			s := t.Store()
			ttl := exactTTL(t, 50*time.Millisecond)
			putAll(t, s, []string{"a", "c"})
			putAll(t, s, []string{"b", "d"}, kv.WithTTL(ttl))
			t.Eventually(latestExpiry(t, ttl), "the listing is a and c", func() bool {
				return fmt.Sprint(keysOfEntries(listPages(t, s, "", 10))) == "[a c]"
			})
		}, kv.List),
		ttlCase("ttl-many", "each of 200 keys with different times to live expires, and none early", testTTLMany),
	}
}

// wantLifetime writes the key "k" with a time to live and demands that the key
// lives for that time and not much longer.
func wantLifetime(t *suite.T, s *kv.Store, ttl time.Duration, write func(time.Duration) error) {
	began := time.Now()
	t.Must(write(ttl))
	written := time.Now()
	for {
		asked := time.Now()
		_, err := s.Get(t.Context(), "k")
		if err == nil {
			if late := asked.Sub(written); late > latestExpiry(t, ttl) {
				t.Fatalf("the key is still there %v after a write with a time to live of %v", late, ttl)
			}
			time.Sleep(ttl / 50)
			continue
		}
		t.WantCode("Get", err, fairlead.NotFound)
		if age := time.Since(began); age < ttl {
			t.Errorf("the key was gone %v after the write, its time to live is %v", age, ttl)
		}
		return
	}
}

// waitGone waits for a key to expire, and ends the case if it does not.
func waitGone(t *suite.T, s *kv.Store, key string, within time.Duration) {
	t.Eventually(within, fmt.Sprintf("the key %q expires", key), func() bool {
		_, err := s.Get(t.Context(), key)
		return fairlead.CodeOf(err) == fairlead.NotFound
	})
}

// passTTL returns when a time to live that began before the call has ended. A
// key that it writes with the same time to live shows that.
func passTTL(t *suite.T, s *kv.Store, ttl time.Duration) {
	put(t, s, "zz-clock", "x", kv.WithTTL(ttl))
	waitGone(t, s, "zz-clock", latestExpiry(t, ttl))
}

func testTTLRounded(t *suite.T) {
	s := t.Store()
	l := t.Facet().Limits
	for _, ttl := range []time.Duration{
		max(l.MinTTL, 1) + l.TTLResolution/2,
		max(l.MinTTL, 1) + l.TTLResolution*19/10,
		max(1500*time.Millisecond, l.MinTTL),
	} {
		wantLifetime(t, s, ttl, func(ttl time.Duration) error {
			_, err := s.Put(t.Context(), "k", []byte("v"), kv.WithTTL(ttl))
			return err
		})
	}
}

func testTTLRefused(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	for _, ttl := range []time.Duration{0, -1, -time.Hour, t.Facet().Limits.MinTTL - 1} {
		_, err := s.Put(t.Context(), "k", []byte("2"), kv.WithTTL(ttl))
		t.WantCode(fmt.Sprintf("Put with a time to live of %v", ttl), err, fairlead.Invalid)
		_, err = s.Put(t.Context(), "new", []byte("2"), kv.WithTTL(ttl))
		t.WantCode(fmt.Sprintf("Put of a new key with a time to live of %v", ttl), err, fairlead.Invalid)
	}
	wantEntry(t, s, "k", "1", rev)
	wantMissing(t, s, "new")
}

func testTTLReplaced(t *suite.T) {
	s := t.Store()
	short, long := exactTTL(t, 100*time.Millisecond), exactTTL(t, time.Hour)
	put(t, s, "shortened", "1", kv.WithTTL(long))
	put(t, s, "shortened", "2", kv.WithTTL(short))
	put(t, s, "lengthened", "1", kv.WithTTL(short))
	put(t, s, "lengthened", "2", kv.WithTTL(long))
	waitGone(t, s, "shortened", latestExpiry(t, short))
	passTTL(t, s, short)
	wantValue(t, s, "lengthened", "2")
}

func testTTLCAS(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	wantLifetime(t, s, exactTTL(t, 100*time.Millisecond), func(ttl time.Duration) error {
		_, err := s.CAS(t.Context(), "k", []byte("v"), rev, kv.WithTTL(ttl))
		return err
	})
	beforeItEnds(t, func(key string, ttl time.Duration) error {
		rev, err := s.Create(t.Context(), key, []byte("1"), kv.WithTTL(ttl))
		if err == nil {
			_, err = s.CAS(t.Context(), key, []byte("2"), rev)
		}
		return err
	}, func(key string, ttl time.Duration) {
		passTTL(t, s, ttl)
		wantValue(t, s, key, "2")
	})
}

// beforeItEnds runs a function that must end before a time to live does, and then
// a check. If the function was too slow, it tries again with a longer time to live.
func beforeItEnds(t *suite.T, do func(key string, ttl time.Duration) error, check func(key string, ttl time.Duration)) {
	for ttl := exactTTL(t, 200*time.Millisecond); ; ttl *= 4 {
		key, began := fmt.Sprintf("lives-%v", ttl), time.Now()
		err := do(key, ttl)
		if err != nil && time.Since(began) >= ttl && ttl < 10*time.Second {
			continue
		}
		t.Must(err)
		check(key, ttl)
		return
	}
}

func testTTLConflict(t *suite.T) {
	s := t.Store()
	stale := put(t, s, "plain", "0")
	put(t, s, "plain", "1")
	short := exactTTL(t, 50*time.Millisecond)
	_, err := s.CAS(t.Context(), "plain", []byte("2"), stale, kv.WithTTL(short))
	t.WantCode("CAS with a stale revision", err, fairlead.Conflict)
	beforeItEnds(t, func(key string, ttl time.Duration) error {
		put(t, s, key, "1", kv.WithTTL(ttl))
		if _, err := s.Create(t.Context(), key, []byte("2")); fairlead.CodeOf(err) != fairlead.Conflict {
			return fmt.Errorf("creating an existing key: %v", err)
		}
		return nil
	}, func(key string, ttl time.Duration) { waitGone(t, s, key, latestExpiry(t, ttl)) })
	wantValue(t, s, "plain", "1")
}

func testTTLTxn(t *suite.T) {
	s := t.Store()
	ttl := exactTTL(t, 200*time.Millisecond)
	put(t, s, "cleared", "1", kv.WithTTL(ttl))
	put(t, s, "k", "1")
	wantLifetime(t, s, ttl, func(ttl time.Duration) error {
		_, err := s.Txn(t.Context(), kv.ThenPut("k", []byte("2"), kv.WithTTL(ttl)), kv.ThenPut("cleared", []byte("2")))
		return err
	})
	passTTL(t, s, ttl)
	wantValue(t, s, "cleared", "2")
}

func testTTLMany(t *suite.T) {
	s := t.Store()
	keys := numberedKeys("k", 200)
	ttls := map[string]time.Duration{}
	for i, key := range keys {
		ttls[key] = exactTTL(t, time.Duration(200+i%7*50)*time.Millisecond)
	}
	began := time.Now()
	forEachConcurrently(32, keys, func(key string) {
		if _, err := s.Put(t.Context(), key, []byte(key), kv.WithTTL(ttls[key])); err != nil {
			t.Errorf("Put: %v", err)
		}
	})
	written := time.Now()
	for left := true; left; {
		asked := time.Now()
		found, err := s.GetMany(t.Context(), keys...)
		t.Must(err)
		left = false
		for _, f := range found {
			ttl := ttls[f.Key]
			if !f.Exists() && time.Since(began) < ttl {
				t.Fatalf("%s was gone %v after the writes began, its time to live is %v", f.Key, time.Since(began), ttl)
			}
			if f.Exists() && asked.Sub(written) > latestExpiry(t, ttl) {
				t.Fatalf("%s is still there %v after the writes, its time to live is %v", f.Key, asked.Sub(written), ttl)
			}
			left = left || f.Exists()
		}
		time.Sleep(5 * time.Millisecond)
	}
}
