package kvcases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// newFullBackendCase is a case that fills the backend.
func newFullBackendCase(name, rule string, run func(*suite.T), needs ...fairlead.Claim) suite.Case {
	c := newFullCase(name, rule, run, needs...)
	c.Fill = true
	return c
}

// fullBackendCases are about a backend that has no space for another write.
var fullBackendCases = []suite.Case{
	newFullBackendCase("full-refused", "a full backend refuses a Put with Unavailable, never with an unknown outcome; the error says that it is full; what was refused is never stored, and reads and listings answer", testFullRefused),
	newFullBackendCase("full-conditional", "a full backend refuses Create, CAS and a Txn with a Put with Unavailable, and changes nothing", testFullConditional, kv.CAS, kv.Txn),
	newFullBackendCase("full-deletes", "Delete works on a full backend", func(t *suite.T) {
		s := t.Store()
		put(t, s, "kept", "1")
		putAll(t, s, numberedKeys("k", 20))
		t.Fill()
		fillUp(t, s)
		for _, key := range numberedKeys("k", 20) {
			if err := s.Delete(t.PatientContext(), key); err != nil {
				t.Fatalf("Delete on a full backend: %v", err)
			}
			wantMissing(t, s, key)
		}
		wantValue(t, s, "kept", "1")
	}),
	newFullBackendCase("full-mixed", "each of many concurrent Puts and Deletes on a full backend has its own result: what is refused with Unavailable changed nothing, and what is acknowledged is done", testFullMixed),
	newFullBackendCase("full-unlocks", "DeleteIf, with which a lock is unlocked, works on a full backend, and a stale one is a Conflict", func(t *suite.T) {
		s := t.Store()
		stale := put(t, s, "lock", "old")
		rev := put(t, s, "lock", "owner")
		t.Fill()
		fillUp(t, s)
		t.WantCode("DeleteIf with a stale revision", s.DeleteIf(t.PatientContext(), "lock", stale), fairlead.Conflict)
		wantEntry(t, s, "lock", "owner", rev)
		if err := s.DeleteIf(t.PatientContext(), "lock", rev); err != nil {
			t.Fatalf("DeleteIf on a full backend: %v", err)
		}
		wantMissing(t, s, "lock")
	}, kv.CAS),
	newFullBackendCase("full-watch", "a watcher shows the deletes on a full backend and the writes after it, and none that was refused", testFullWatch, kv.Watch),
	newFullBackendCase("full-recovers", "a backend that has space again takes the writes of the same handle, and a handle can be closed while it is full", func(t *suite.T) {
		name := t.Name()
		s, other := t.StoreOf(t.Provider(), name), t.StoreOf(t.Provider(), name)
		put(t, s, "k", "1")
		free := t.Fill()
		fillUp(t, s)
		if err := other.Close(t.PatientContext()); err != nil {
			t.Errorf("Close on a full backend: %v", err)
		}
		free()
		t.Eventually(t.Patience(), "a Put is stored when there is space again", func() bool {
			_, err := s.Put(t.Within(2*time.Second), "k", []byte("2"))
			return err == nil
		})
		wantValue(t, s, "k", "2")
	}),
}

// filling is the size of the values that fillUp writes.
const filling = 64 << 10

// fillUp writes until the backend refuses a large value, and then a small one, and
// checks how. It returns the keys that were refused.
func fillUp(t *suite.T, s *kv.Store) (refused []string) {
	began := time.Now()
	for i, size := 0, filling; ; i++ {
		key := fmt.Sprintf("filling-%05d", i)
		_, err := s.Put(t.PatientContext(), key, make([]byte, size))
		if err == nil {
			t.CheckFilled(began)
			continue
		}
		t.WantFull("Put", err)
		refused = append(refused, key)
		if size == 1 {
			return refused
		}
		size = 1
	}
}

func testFullRefused(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	free := t.Fill()
	refused := fillUp(t, s)
	_, err := s.Put(t.PatientContext(), "k", []byte("2"))
	t.WantFull("Put over a key", err)
	check := func() {
		wantEntry(t, s, "k", "1", rev)
		for _, key := range refused {
			wantMissing(t, s, key)
		}
		for _, e := range listPages(t, s, "", 100) {
			if e.Key != "k" && !strings.HasPrefix(e.Key, "filling-") {
				t.Errorf("the listing of a full backend has the key %q", e.Key)
			}
		}
	}
	if t.Facet().Has(kv.List) {
		check()
	}
	free()
	time.Sleep(suite.Quiet) // for a refused write that is applied late
	for _, key := range append(refused, "k") {
		if key == "k" {
			wantEntry(t, s, "k", "1", rev)
		} else {
			wantMissing(t, s, key)
		}
	}
}

func testFullConditional(t *suite.T) {
	s := t.Store()
	rev := put(t, s, "k", "1")
	t.Fill()
	fillUp(t, s)
	for what, write := range map[string]func(ctx context.Context) error{
		"Create": func(ctx context.Context) error { _, err := s.Create(ctx, "new", []byte("1")); return err },
		"CAS":    func(ctx context.Context) error { _, err := s.CAS(ctx, "k", []byte("2"), rev); return err },
		"Txn": func(ctx context.Context) error {
			_, err := s.Txn(ctx, kv.IfRevision("k", rev), kv.ThenDelete("k"), kv.ThenPut("new", []byte("1")))
			return err
		},
	} {
		t.WantFull(what, write(t.PatientContext()))
		wantEntry(t, s, "k", "1", rev)
		wantMissing(t, s, "new")
	}
}

func testFullMixed(t *suite.T) {
	s := t.Store()
	old := numberedKeys("old", 64)
	putAll(t, s, old)
	t.Fill()
	fillUp(t, s)
	type write struct {
		key string
		put bool
	}
	var writes []write
	for i, key := range old {
		writes = append(writes, write{key, false}, write{fmt.Sprintf("new%05d", i), true})
	}
	// A write that fails without an effect leaves the key as it was.
	forEachConcurrently(32, writes, func(w write) {
		what, err := "Delete of "+w.key, error(nil)
		if w.put {
			what = "Put of " + w.key
			_, err = s.Put(t.PatientContext(), w.key, []byte(w.key))
		} else {
			err = s.Delete(t.PatientContext(), w.key)
		}
		if err != nil && fairlead.CodeOf(err) != fairlead.Unavailable {
			t.Errorf("%s on a full backend: want no error or unavailable, got %v", what, err)
			return
		}
		_, readErr := s.Get(t.PatientContext(), w.key)
		exists := readErr == nil
		if !exists && fairlead.CodeOf(readErr) != fairlead.NotFound {
			t.Errorf("Get of %s on a full backend: %v", w.key, readErr)
			return
		}
		if want := w.put == (err == nil); exists != want {
			t.Errorf("%s on a full backend returned %v; the key exists: %v, want %v", what, err, exists, want)
		}
	})
}

func testFullWatch(t *suite.T) {
	s := t.Store()
	putAll(t, s, []string{"a", "b"})
	w := openWatcher(t, s, "")
	free := t.Fill()
	refused := fillUp(t, s)
	t.Must(s.Delete(t.PatientContext(), "a"))
	events := readEventsToKey(t, w, "a")
	free()
	t.Eventually(t.Patience(), "a Put is stored when there is space again", func() bool {
		_, err := s.Put(t.Within(2*time.Second), "end", nil)
		return err == nil
	})
	events = append(events, readEventsToKey(t, w, "end")...)
	for _, e := range events {
		for _, key := range refused {
			if e.Key == key {
				t.Errorf("there is an event of a write that was refused: %s", formatEvent(e))
			}
		}
	}
	if e := events[len(events)-1]; !hasKey(events, "a") || e.Kind == kv.DeleteEvent {
		t.Errorf("the events end with %s", formatEvent(e))
	}
}
