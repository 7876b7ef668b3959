package redis

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/pubsub/driver"
)

func FuzzDecodeMetadata(f *testing.F) {
	for _, s := range []string{
		"", "5:color3:red", "5:color0:", "0:3:red", "5:color", "5:color9:red", "05:color3:red", "+5:color3:red",
		"1:a1:b1:a1:c", "99999999999999999999:a", "1:\xff1:b", "18446744073709551615:a1:b", "-1:a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := decodeMetadata(s)
		if err != nil {
			return
		}
		again, err := decodeMetadata(encodeMetadata(m))
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
		if len(encodeMetadata(m)) != len(s) { // the order may differ
			t.Fatalf("%q has more than one form", s)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	for _, s := range []string{"", "1-1/1/", "1-1/1/key/ with\x00", "1-1/1", "01-1/1/", "1-1/x/", "1-1//", "1-18446744073709551616/1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if tok, err := parseToken(s); err == nil && tok.String() != s {
			t.Fatalf("%q becomes %q", s, tok)
		}
	})
}

func TestDecodeOfForeignEntries(t *testing.T) {
	const id = "1700000000000-7"
	cases := map[string]struct {
		fields []any
		want   driver.Delivery
	}{
		"ours": {
			[]any{"b", "body", "i", "id", "k", "key", "m", "1:n1:v"},
			driver.Delivery{ID: "id", Key: "key", Body: []byte("body"), Metadata: map[string]string{"n": "v"}},
		},
		"no fields":        {nil, driver.Delivery{ID: id}},
		"others":           {[]any{"x", "1", "\xff", "2", "y", "\xff", "", "3"}, driver.Delivery{ID: id, Metadata: map[string]string{"x": "1"}}},
		"body and others":  {[]any{"b", "body", "x", "1"}, driver.Delivery{ID: id, Body: []byte("body"), Metadata: map[string]string{"x": "1"}}},
		"damaged metadata": {[]any{"b", "body", "m", "9:n"}, driver.Delivery{ID: id, Body: []byte("body"), Metadata: map[string]string{"m": "9:n"}}},
		"damaged id":       {[]any{"b", "", "i", "a\xff", "k", "\xff"}, driver.Delivery{ID: "a\uFFFD", Key: "\uFFFD"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.want.Position, tc.want.Time = id, timeOfID(id)
			if diff := cmp.Diff(tc.want, decodeEntry(id, tc.fields), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
