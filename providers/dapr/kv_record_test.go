package dapr

import (
	"bytes"
	"testing"
	"time"

	"fairlead.dev"
)

// chain returns a record that was written n times.
func chain(n int) []*record {
	var all []*record
	var r *record
	for i := range n {
		r = r.next(name{byte(i + 1)})
		all = append(all, r)
	}
	return all
}

func FuzzDecodeRecord(f *testing.F) {
	r := chain(3)[2]
	r.value, r.deadline = []byte("value"), 42
	f.Add(r.encode())
	f.Add([]byte{})
	f.Add([]byte{recordForm})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if fairlead.CodeOf(err) != fairlead.Internal {
				t.Errorf("%v", err)
			}
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Errorf("%x is read as %+v, which is written as %x", b, r, r.encode())
		}
		if r.revision() == "" || !r.same(r) || !r.remembers(r) {
			t.Errorf("%+v", r)
		}
	})
}

func TestRecordRemembers(t *testing.T) {
	all := chain(3 * keptNames)
	for i, base := range all {
		for j, present := range all[i:] {
			if got, want := present.remembers(base), j < keptNames; got != want {
				t.Errorf("after %d more writes, remembers is %v", j, got)
			}
			if got, want := present.has(base.names[0]), j < keptNames; got != want {
				t.Errorf("after %d more writes, has is %v", j, got)
			}
		}
		if got, want := base.remembers(nil), i < keptNames; got != want {
			t.Errorf("write %d remembers the first: %v", i, got)
		}
	}
	// A key that somebody has removed begins anew.
	if fresh := chain(1)[0].next(name{99}); fresh.remembers(all[len(all)-1]) {
		t.Error("a record remembers one that it does not come from")
	}
	var none *record
	if none.remembers(nil) || none.remembers(all[0]) || none.has(name{1}) || !none.same(nil) || none.same(all[0]) {
		t.Error("a key that is not there remembers")
	}
}

func TestRecordExists(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	for _, c := range []struct {
		r    *record
		want bool
	}{
		{nil, false},
		{&record{}, true},
		{&record{deleted: true}, false},
		{&record{deadline: 999_500}, true}, // for those whose clocks are behind
		{&record{deadline: 999_499}, false},
	} {
		if got := c.r.exists(now, 500*time.Millisecond); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}

func TestEscapeKey(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"a", "a|b", "a||b", "a%7Cb", "a%b", "a\x00b", "a\nb", "ключ", "a\x7fb", "%", "||", "|"} {
		stored := escapeKey(key)
		if other, ok := seen[stored]; ok {
			t.Errorf("%q and %q are both stored as %q", key, other, stored)
		}
		seen[stored] = key
		if bytes.ContainsAny([]byte(stored), "|\x00\n\x7f") {
			t.Errorf("%q is stored as %q", key, stored)
		}
	}
}
