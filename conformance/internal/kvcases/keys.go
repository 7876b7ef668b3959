package kvcases

import (
	"fmt"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// oddKeys are keys that some backend treats specially, each with keys that must
// stay distinct from it.
var oddKeys = []struct {
	name  string
	key   string
	twins []string
}{
	{"slash", "a/b", []string{"a%2Fb", "a_b", "a", "a/", "/a/b", "a//b"}},
	{"unicode", "grüße/日本語/🎏", []string{"gr??e/???/?", "grusse"}},
	{"unicode-forms", "caf\u00e9", []string{"cafe\u0301", "cafe"}},
	{"bom", "\ufeffa", []string{"a"}},
	{"replacement", "a\ufffdb", []string{"a?b", "ab"}},
	{"case", "Key", []string{"key", "KEY"}},
	{"dots", "a..b", []string{"a.b", "a"}},
	{"dot", ".", []string{"..", "a"}},
	{"leading-dot", ".a", []string{"a", "..a"}},
	{"trailing-dot", "a.", []string{"a", "a.."}},
	{"bars", "a||b", []string{"a|b", "ab", "b", "a"}},
	{"star", "a*", []string{"a", "ab", "*"}},
	{"glob", "[a]?b", []string{"axb", "a?b", "aab"}},
	{"gt", "a.>", []string{"a.b", ">"}},
	{"colon", "a:b", []string{"a", "b", "a::b"}},
	{"space", " a b ", []string{"a b", "ab", " ", "+a+b+"}},
	{"braces", "{a}b", []string{"ab", "{a}", "{a}c"}},
	{"percent", "a%20b", []string{"a b", "a%2520b", "a%"}},
	{"underscore", "a_b", []string{"a__b", "a-b", "a_2db"}},
	{"equals", "a=b", []string{"a", "a="}},
	{"backslash", `a\b`, []string{"ab", `a\\b`, "a/b"}},
	{"quotes", "a'b\"c`d", []string{"abcd", "a"}},
	{"dollar", "$a${b}", []string{"a", "$a"}},
	{"hash", "#a", []string{"a", "#"}},
	{"newline", "a\nb\r\nc\td", []string{"a", "a\n", "a b"}},
	{"nul", "a\x00b", []string{"a", "a\x00", "ab", "\x00"}},
	{"controls", "\x01\x1f\x7f\u0080", []string{"\x01", "\u0080"}},
	{"512-bytes", strings.Repeat("k", 511) + "1", []string{strings.Repeat("k", 511) + "2", strings.Repeat("k", 511)}},
	{"170-runes", strings.Repeat("語", 170), []string{strings.Repeat("語", 169) + "日"}},
}

func keyCases() []suite.Case {
	var cases []suite.Case
	for _, odd := range oddKeys {
		rule := fmt.Sprintf("the key %s is like any other: put, get, list, delete, and apart from keys that resemble it", quoteBriefly(odd.key))
		cases = append(cases, newCase("key-"+odd.name, rule, func(t *suite.T) { wantOddKeyDistinct(t, odd.key, odd.twins) }))
	}
	return append(cases, newCase("key-max", "a key at the published limit, at least 512 bytes, is like any other", func(t *suite.T) {
		limit := t.Facet().Limits.MaxKeyBytes
		if limit < 512 {
			t.Errorf("the published limit of keys is %d bytes; at least 512 are demanded", limit)
		}
		long := strings.Repeat("m", limit-1)
		wantOddKeyDistinct(t, long+"1", []string{long, long + "2"})
	}))
}

// wantOddKeyDistinct makes all calls with a key while keys exist that resemble it.
func wantOddKeyDistinct(t *suite.T, key string, twins []string) {
	s := t.Store()
	keys := append([]string{key}, twins...)
	revs := map[string]kv.Revision{}
	for _, k := range keys {
		wantMissing(t, s, k)
		revs[k] = put(t, s, k, "value of "+k)
	}
	found, err := s.GetMany(t.Context(), keys...)
	t.Must(err)
	for i, k := range keys {
		wantEntry(t, s, k, "value of "+k, revs[k])
		if !found[i].Exists() || string(found[i].Value) != "value of "+k || found[i].Key != k {
			t.Errorf("GetMany of %s: got %s %s", quoteBriefly(k), quoteBriefly(found[i].Key), quoteBriefly(string(found[i].Value)))
		}
	}
	if t.Facet().Has(kv.List) {
		wantListed(t, s, key)
	}
	t.Must(s.Delete(t.Context(), key))
	wantMissing(t, s, key)
	for _, k := range twins {
		wantValue(t, s, k, "value of "+k)
	}
}

// wantListed demands that a listing by the key itself begins with it.
func wantListed(t *suite.T, s *kv.Store, key string) {
	entries := listPages(t, s, key, 10)
	if len(entries) == 0 || entries[0].Key != key || string(entries[0].Value) != "value of "+key {
		t.Errorf("the listing of %s has the keys %q", quoteBriefly(key), keysOfEntries(entries))
	}
}

var keyRefusalCases = []suite.Case{
	newCase("key-over-max", "a key over the published limit is TooLarge in every call, the message says both numbers, and the store works on", func(t *suite.T) {
		limit := t.Facet().Limits.MaxKeyBytes
		err := wantKeyRefused(t, strings.Repeat("k", limit+1), fairlead.TooLarge)
		if err != nil && !(strings.Contains(err.Error(), fmt.Sprint(limit)) && strings.Contains(err.Error(), fmt.Sprint(limit+1))) {
			t.Errorf("the error does not say %d and %d: %v", limit, limit+1, err)
		}
	}),
	newCase("key-refused", "an empty key, and one that is not UTF-8, is Invalid in every call and changes nothing; a key of 512 bytes is not", func(t *suite.T) {
		wantKeyRefused(t, "", fairlead.Invalid)
		wantKeyRefused(t, "a\xff", fairlead.Invalid)
		wantKeyRefused(t, "\xc0\x80", fairlead.Invalid)
		wantOddKeyDistinct(t, strings.Repeat("x", 512), nil)
	}),
}

// wantKeyRefused demands that every call with the key fails with the code and that
// the store works on. It returns the error of Put.
func wantKeyRefused(t *suite.T, key string, want fairlead.Code) error {
	s := t.Store()
	_, err := s.Put(t.Context(), key, []byte("x"))
	t.WantCode("Put", err, want)
	_, getErr := s.Get(t.Context(), key)
	t.WantCode("Get", getErr, want)
	_, manyErr := s.GetMany(t.Context(), "fine", key)
	t.WantCode("GetMany", manyErr, want)
	t.WantCode("Delete", s.Delete(t.Context(), key), want)
	if t.Facet().Has(kv.CAS) {
		_, createErr := s.Create(t.Context(), key, nil)
		t.WantCode("Create", createErr, want)
	}
	if t.Facet().Has(kv.Txn) {
		_, txnErr := s.Txn(t.Context(), kv.ThenPut("fine", nil), kv.ThenPut(key, nil))
		t.WantCode("Txn", txnErr, want)
		wantMissing(t, s, "fine")
	}
	put(t, s, "fine", "1")
	wantValue(t, s, "fine", "1")
	return err
}
