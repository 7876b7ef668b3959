package nats

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
)

func openProvider(t testing.TB, url string, opts ...fairlead.Option) *provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), url, opts...)
	check.NoError(t, err)
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return p.(*provider)
}

func openTestStore(t *testing.T, p *provider) *store {
	t.Helper()
	s, err := p.OpenStore(t.Context(), driver.StoreConfig{Name: "s"})
	check.NoError(t, err)
	return s.(*storeHandle).store()
}

func do(t *testing.T, s *store, op driver.Op) driver.Revision {
	t.Helper()
	r := s.Do(t.Context(), []driver.Op{op})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Revision
}

func put(t *testing.T, s *store, key string) driver.Revision {
	t.Helper()
	return do(t, s, driver.Op{Kind: driver.OpPut, Key: key, Value: []byte("v")})
}

// Each write that shares a batch has the revision that a read shows.
func TestCoalescedWrites(t *testing.T) {
	server := testbed.NATS(t, testbed.NATSSync("always"))
	p := openProvider(t, server.URL()+"?monitor="+server.MonitorURL())
	if !p.syncsAlways.Load() {
		t.Fatal("the server is not known to sync always: the test shows nothing")
	}
	s := openTestStore(t, p)
	put(t, s, "deleted")
	var ops []driver.Op
	for i := range 40 {
		ops = append(ops,
			driver.Op{Kind: driver.OpPut, Key: fmt.Sprint("k", i), Value: fmt.Append(nil, i)},
			driver.Op{Kind: driver.OpCreate, Key: fmt.Sprint("created", i)})
	}
	ops = append(ops,
		driver.Op{Kind: driver.OpDelete, Key: "deleted"},
		driver.Op{Kind: driver.OpPut, Key: "k0", Value: []byte("again")},
		driver.Op{Kind: driver.OpPut, Key: "late", Deadline: time.Now().Add(-time.Second)})
	b := &batch{s: s, ops: ops}
	if n := len(b.coalesced()); n != 42 { // the puts of different keys, and the delete
		t.Errorf("%d writes share a batch, want 42", n)
	}
	for i, r := range s.Do(t.Context(), ops) {
		op := ops[i]
		if op.Key == "late" {
			if fairlead.CodeOf(r.Err) != fairlead.DeadlineExceeded {
				t.Errorf("a write whose deadline has passed: %v", r.Err)
			}
			continue
		}
		if r.Err != nil {
			t.Fatalf("%s: %v", op.Key, r.Err)
		}
		got := s.Do(t.Context(), []driver.Op{{Kind: driver.OpGet, Key: op.Key}})[0]
		switch {
		case op.Kind == driver.OpDelete:
			if fairlead.CodeOf(got.Err) != fairlead.NotFound {
				t.Errorf("the deleted key: %v", got.Err)
			}
		case op.Key != "k0" && (got.Err != nil || got.Revision != r.Revision || string(got.Value) != string(op.Value)):
			t.Errorf("%s was written under %s, and is %q under %s: %v", op.Key, r.Revision, got.Value, got.Revision, got.Err)
		}
	}
}

// A watch after a position whose time is not known to be recent is refused: keys
// that were deleted since then may be forgotten. The record of times makes the time
// known.
func TestWatchHistory(t *testing.T) {
	server := testbed.NATS(t)
	p := openProvider(t, server.URL())
	p.config.history = historyMargin + 2*time.Second
	s := openTestStore(t, p)
	watch := func(after driver.Revision) error {
		w, err := s.Watch(t.Context(), driver.WatchRequest{After: after})
		if err == nil {
			_ = w.Close(t.Context())
		}
		return err
	}
	old := put(t, s, "k")
	put(t, s, "gone")
	do(t, s, driver.Op{Kind: driver.OpDelete, Key: "gone"})
	if err := watch(old); err != nil {
		t.Fatalf("a watch after a recent revision: %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := watch(old); fairlead.CodeOf(err) == fairlead.Compacted {
			break
		} else if err != nil || time.Now().After(deadline) {
			t.Fatalf("a watch after an old revision: %v", err)
		}
	}
	put(t, s, "k")
	s.writeCheckpoint(t.Context())
	overwritten := put(t, s, "k")
	last := put(t, s, "k")
	put(t, s, "k2")
	for _, rev := range []driver.Revision{overwritten, last} {
		if err := watch(rev); err != nil {
			t.Errorf("a watch after the last checkpoint: %v", err)
		}
	}
	if err := watch(s.formatRevision(revision{seq: 1 << 40})); fairlead.CodeOf(err) != fairlead.Compacted {
		t.Errorf("a watch after a position that the stream has not reached: %v", err)
	}
}

// A handle of a deleted store does not write to the next store of the same name.
func TestDeletedStore(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	old := openTestStore(t, p)
	rev := put(t, old, "k")
	check.NoError(t, p.DeleteStore(t.Context(), "s"))
	next := openTestStore(t, p)
	if r := old.Do(t.Context(), []driver.Op{{Kind: driver.OpPut, Key: "k"}})[0]; fairlead.CodeOf(r.Err) != fairlead.Unavailable {
		t.Errorf("a write to a deleted store: %v", r.Err)
	}
	r := next.Do(t.Context(), []driver.Op{{Kind: driver.OpGet, Key: "k"}, {Kind: driver.OpCAS, Key: "k", Revision: rev}})
	if fairlead.CodeOf(r[0].Err) != fairlead.NotFound || fairlead.CodeOf(r[1].Err) != fairlead.Conflict {
		t.Errorf("the next store of the same name: %v, %v", r[0].Err, r[1].Err)
	}
	if _, err := next.Watch(t.Context(), driver.WatchRequest{After: rev}); fairlead.CodeOf(err) != fairlead.Compacted {
		t.Errorf("a watch after a revision of the deleted store: %v", err)
	}
}

func TestForeignStream(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	foreign := p.newStream(kindKV, "s", formKV)
	foreign.Metadata = nil
	check.NoError(t, p.callAPI(t.Context(), "STREAM.CREATE."+foreign.Name, foreign, nil, true))
	if _, err := p.OpenStore(t.Context(), driver.StoreConfig{Name: "s"}); fairlead.CodeOf(err) != fairlead.Invalid {
		t.Errorf("a store whose stream belongs to another program: %v", err)
	}
}

// TestListings shows that a page finds the keys of its listing, and still works
// when they are not kept.
func TestListings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ls listings
		x := &listing{name: "x", keys: []string{"a", "b", "c"}}
		ls.keep(x)
		for range 3 { // each page keeps it for longer
			time.Sleep(listingKept - 1)
			if ls.find("x") != x {
				t.Fatal("a listing under way is forgotten")
			}
		}
		time.Sleep(listingKept)
		synctest.Wait()
		if ls.find("x") != nil {
			t.Error("an abandoned listing is kept")
		}
		for i := range 2 * listingsKept {
			ls.keep(&listing{name: string(rune('a' + i))})
		}
		if len(ls.kept) != listingsKept || ls.find("a") == nil {
			t.Errorf("%d listings are kept, want the first %d", len(ls.kept), listingsKept)
		}
		for name := range ls.kept {
			ls.drop(name)
		}
		for last, want := range map[string][]string{"": {"a", "b", "c"}, "a": {"b", "c"}, "aa": {"b", "c"}, "c": {}} {
			if got := x.after(last); !slices.Equal(got, want) {
				t.Errorf("after %q: got %q, want %q", last, got, want)
			}
		}
	})
}

func FuzzPageToken(f *testing.F) {
	f.Add("after:x:a:b", "a")
	f.Add("after::", "")
	f.Fuzz(func(t *testing.T, token, prefix string) {
		name, last, err := parseToken(token, prefix)
		if err != nil {
			return
		}
		if again := (&listing{name: name}).token(last); again != token || !strings.HasPrefix(last, prefix) {
			t.Errorf("%q became %q", token, again)
		}
	})
}

// TestListGoesOnElsewhere shows that a page's token is valid on another handle,
// which does not have the keys of the listing.
func TestListGoesOnElsewhere(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	one, two := openTestStore(t, p), openTestStore(t, p)
	var want, got []string
	for i := range 10 {
		key := fmt.Sprintf("k%d", i)
		want = append(want, key)
		if r := one.Do(t.Context(), []driver.Op{{Kind: driver.OpPut, Key: key}})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for token, turn := "", 0; ; turn++ {
		page, err := []*store{one, two}[turn%2].List(t.Context(), driver.ListRequest{Prefix: "k", Token: token, Limit: 3})
		check.NoError(t, err)
		for _, e := range page.Entries {
			got = append(got, e.Key)
		}
		if token = page.Token; token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A call that waits when its store is closed, under a context that has not ended,
// is Closed.
func TestCloseEndsCalls(t *testing.T) {
	server := testbed.NATS(t)
	p := openProvider(t, server.URL())
	for what, call := range map[string]func(s *store) error{
		"List": func(s *store) error {
			_, err := s.List(t.Context(), driver.ListRequest{Limit: 10})
			return err
		},
		"CAS": func(s *store) error {
			return s.Do(t.Context(), []driver.Op{{Kind: driver.OpCAS, Key: "k", Revision: s.formatRevision(revision{seq: 1, kind: ofTxn})}})[0].Err
		},
		"Get": func(s *store) error {
			return s.Do(t.Context(), []driver.Op{{Kind: driver.OpGet, Key: "k"}})[0].Err
		},
	} {
		s := openTestStore(t, p)
		check.NoError(t, server.Pause(t.Context()))
		result := make(chan error, 1)
		go func() { result <- call(s) }()
		check.Eventually(t, "the call waits", func() bool {
			p.calls.mu.Lock()
			defer p.calls.mu.Unlock()
			for _, w := range p.calls.waiting {
				if strings.Contains(w.subject, s.stream) {
					return true
				}
			}
			return false
		})
		s.life.End()
		if err := <-result; fairlead.CodeOf(err) != fairlead.Closed {
			t.Errorf("%s: got %v, want Closed", what, err)
		}
		check.NoError(t, server.Continue(t.Context()))
	}
}
