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
		r = r.successor(writeID{byte(i + 1)})
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
		if r.revision() == "" || !r.isSameWrite(r) || !r.coversWritesSince(r) {
			t.Errorf("%+v", r)
		}
	})
}

func TestRecordRemembers(t *testing.T) {
	all := chain(3 * keptWriteIDs)
	for i, previous := range all {
		for j, present := range all[i:] {
			if got, want := present.coversWritesSince(previous), j < keptWriteIDs; got != want {
				t.Errorf("after %d more writes, coversWritesSince returns %v", j, got)
			}
			if got, want := present.containsWrite(previous.writeIDs[0]), j < keptWriteIDs; got != want {
				t.Errorf("after %d more writes, containsWrite returns %v", j, got)
			}
		}
		if got, want := previous.coversWritesSince(nil), i < keptWriteIDs; got != want {
			t.Errorf("write %d: coversWritesSince(nil) returns %v", i, got)
		}
	}
	// The record of a key that was removed from the component starts again.
	if written := chain(1)[0].successor(writeID{99}); written.coversWritesSince(all[len(all)-1]) {
		t.Error("a record covers the writes since one that it does not follow")
	}
	var none *record
	if none.coversWritesSince(nil) || none.coversWritesSince(all[0]) || none.containsWrite(writeID{1}) || !none.isSameWrite(nil) || none.isSameWrite(all[0]) {
		t.Error("a missing record names writes")
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
		{&record{deadline: 999_500}, true}, // other programs' clocks may be slow
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
