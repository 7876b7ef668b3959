package history

import (
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/intercept"
	"fairlead.dev/kv/driver"
)

// TestTake: a case gets its own calls, in the order in which they began, and only the
// last ones of each store.
func TestTake(t *testing.T) {
	h := New()
	record := func(target string, began time.Duration, key string, err error) {
		h.Record(&intercept.Call{Op: "kv.Do", Target: target, Input: []driver.Op{{Kind: driver.OpPut, Key: key, Value: []byte("v")}}, Began: h.began.Add(began)},
			[]driver.Result{{Revision: "7", Err: err}}, nil)
	}
	for i := range kept + 5 {
		record("run-kv-list-1", time.Duration(i)*time.Millisecond, "k", nil)
	}
	record("run-kv-list-2", 10500*time.Microsecond, "other", fairlead.Errorf(fairlead.Conflict, "no"))
	record("run-kv-list-pages-1", 0, "of another case", nil)
	lines := h.Take("run-kv-list")
	if len(lines) != kept+1 {
		t.Fatalf("%d lines", len(lines))
	}
	if want := `#1 kv.Do put "k" = "v" → at "7"`; !strings.HasPrefix(lines[0], "5.000ms to ") || !strings.HasSuffix(lines[0], want) {
		t.Errorf("%s; want %s", lines[0], want)
	}
	if want := `#2 kv.Do put "other" = "v" → conflict`; !strings.HasPrefix(lines[6], "10.500ms to ") || !strings.HasSuffix(lines[6], want) {
		t.Errorf("%s; want %s", lines[6], want)
	}
	if left := h.Take("run-kv-list"); left != nil {
		t.Errorf("taken twice: %v", left)
	}
	if other := h.Take("run-kv-list-pages"); len(other) != 1 {
		t.Errorf("of another case: %v", other)
	}
}
