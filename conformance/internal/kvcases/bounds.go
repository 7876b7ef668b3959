package kvcases

import (
	"context"
	"fmt"
	"math"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// boundCases are about the greatest numbers that a caller can give.
var boundCases = []suite.Case{
	newCase("ttl-longest", "a key with the longest time to live stays, also if it is created, changed by CAS or written in a Txn with it", testTTLLongest, kv.TTL),
	newCase("ttl-too-long", "a time to live above the longest one is Invalid in every write, the error says the bound, and nothing is written", testTTLTooLong, kv.TTL),
	newCase("txn-unappliable", "a Txn is refused and changes nothing if one of its writes cannot be applied: a value, a key or a time to live is beyond its limit", testTxnUnappliable, kv.Txn),
	newCase("list-largest-page", "a page of at most 2,147,483,647 entries is accepted, and has all entries or says where to continue", func(t *suite.T) {
		s := t.Store()
		keys := numberedKeys("k", 10)
		putAll(t, s, keys)
		if got := keysOfEntries(listPages(t, s, "", math.MaxInt32)); fmt.Sprint(got) != fmt.Sprint(keys) {
			t.Errorf("the listing has the keys %q, want %q", got, keys)
		}
	}, kv.List),
}

// longestTTL returns the longest time to live that the provider takes.
func longestTTL(t *suite.T) time.Duration {
	if longest := t.Facet().Limits.MaxTTL; longest > 0 {
		return longest
	}
	return fairlead.MaxDuration
}

// ttlWrites are the writes that take a time to live, each to a key of its own name.
func ttlWrites(t *suite.T, s *kv.Store, ttl time.Duration) map[string]func(ctx context.Context) error {
	writes := map[string]func(ctx context.Context) error{
		"put": func(ctx context.Context) error {
			_, err := s.Put(ctx, "put", []byte("2"), kv.WithTTL(ttl))
			return err
		},
	}
	if t.Facet().Has(kv.CAS) {
		writes["create"] = func(ctx context.Context) error {
			_, err := s.Create(ctx, "create", []byte("2"), kv.WithTTL(ttl))
			return err
		}
		writes["cas"] = func(ctx context.Context) error {
			e, err := s.Get(ctx, "cas")
			if err != nil {
				return err
			}
			_, err = s.CAS(ctx, "cas", []byte("2"), e.Revision, kv.WithTTL(ttl))
			return err
		}
	}
	if t.Facet().Has(kv.Txn) {
		writes["txn"] = func(ctx context.Context) error {
			_, err := s.Txn(ctx, kv.ThenPut("beside", []byte("2")), kv.ThenPut("txn", []byte("2"), kv.WithTTL(ttl)))
			return err
		}
	}
	return writes
}

func testTTLLongest(t *suite.T) {
	s := t.Store()
	ttl := longestTTL(t)
	put(t, s, "put", "1")
	put(t, s, "cas", "1")
	writes := ttlWrites(t, s, ttl)
	for key, write := range writes {
		if err := write(t.Context()); err != nil {
			t.Errorf("writing %s with a time to live of %v: %v", key, ttl, err)
		}
	}
	passTTL(t, s, exactTTL(t, time.Second)) // a time to live that has wrapped ends soon
	for key := range writes {
		wantValue(t, s, key, "2")
	}
}

func testTTLTooLong(t *suite.T) {
	s := t.Store()
	put(t, s, "put", "1")
	put(t, s, "cas", "1")
	for _, ttl := range []time.Duration{longestTTL(t) + 1, math.MaxInt64} {
		for key, write := range ttlWrites(t, s, ttl) {
			t.WantCode(fmt.Sprintf("%s with a time to live of %v", key, ttl), write(t.Context()), fairlead.Invalid)
		}
	}
	wantValue(t, s, "put", "1")
	wantValue(t, s, "cas", "1")
	for _, key := range []string{"create", "txn", "beside"} {
		wantMissing(t, s, key)
	}
}

func testTxnUnappliable(t *suite.T) {
	s := t.Store()
	l := t.Facet().Limits
	rev := put(t, s, "k", "1")
	bad := map[string]kv.TxnPart{
		"a value over the limit":  kv.ThenPut("bad", make([]byte, l.MaxValueBytes+1)),
		"a key over the limit":    kv.ThenPut(string(make([]byte, l.MaxKeyBytes+1)), nil),
		"an empty key":            kv.ThenPut("", nil),
		"a negative time":         kv.ThenPut("bad", nil, kv.WithTTL(-1)),
		"a time that is too long": kv.ThenPut("bad", nil, kv.WithTTL(math.MaxInt64)),
	}
	for what, part := range bad {
		_, err := s.Txn(t.Context(), kv.IfRevision("k", rev), kv.ThenPut("k", []byte("2")), kv.ThenPut("new", nil), part)
		switch fairlead.CodeOf(err) {
		case fairlead.Invalid, fairlead.TooLarge, fairlead.Unsupported:
		default:
			t.Errorf("a Txn with %s: want invalid or too large, got %v", what, err)
		}
		wantEntry(t, s, "k", "1", rev)
		wantMissing(t, s, "new")
		wantMissing(t, s, "bad")
	}
}
