package config_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"fairlead.dev"
	"fairlead.dev/config"
	kvdriver "fairlead.dev/kv/driver"
)

// altered is a provider with fewer claims, whose stores a test may alter.
type altered struct {
	kvdriver.Provider
	without []fairlead.Claim
	alter   func(kvdriver.Store) kvdriver.Store
}

func (a altered) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := a.Provider.Describe(ctx)
	for i := range d.Facets {
		d.Facets[i].Claims = slices.DeleteFunc(d.Facets[i].Claims, func(c fairlead.Claim) bool { return slices.Contains(a.without, c) })
	}
	return d, err
}

func (a altered) OpenStore(ctx context.Context, c kvdriver.StoreConfig) (kvdriver.Store, error) {
	s, err := a.Provider.OpenStore(ctx, c)
	if err != nil || a.alter == nil {
		return s, err
	}
	return a.alter(s), nil
}

// moments lists one key per page, and each page shows another moment: between is
// called before every page except the first.
type moments struct {
	kvdriver.Store
	between func()
}

func (m moments) List(ctx context.Context, r kvdriver.ListRequest) (kvdriver.Page, error) {
	after := r.Token
	if after != "" {
		m.between()
	}
	all, err := m.Store.List(ctx, kvdriver.ListRequest{Limit: 1000})
	if err != nil {
		return all, err
	}
	i, _ := slices.BinarySearchFunc(all.Entries, after+"\x00", func(e kvdriver.Entry, key string) int { return strings.Compare(e.Key, key) })
	if after == "" {
		i = 0
	}
	page := kvdriver.Page{Revision: all.Revision}
	if i < len(all.Entries) {
		page.Entries, page.Token = all.Entries[i:i+1], all.Entries[i].Key
	}
	return page, nil
}

func torn(p fairlead.Provider, between func()) altered {
	return altered{p.(kvdriver.Provider), []fairlead.Claim{kvdriver.ClaimSnapshotList},
		func(s kvdriver.Store) kvdriver.Store { return moments{s, between} }}
}

// A snapshot shows one moment even if the pages of the listing show several.
func TestSnapshotFromPagesOfManyMoments(t *testing.T) {
	p := open(t, "mem://")
	writer, n := openSource(t, p), 0
	change := func() {
		n++
		set(t, writer, put("a", strconv.Itoa(n)), put("m"+strconv.Itoa(n%7), "x"), config.Delete("m"+strconv.Itoa((n+3)%7)), put("z", strconv.Itoa(n)))
	}
	change()
	reader := openSource(t, torn(p, change), config.Require(config.Snapshot))
	for range 50 {
		before := n
		state, err := reader.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a, z := string(state.Values["a"].Data), string(state.Values["z"].Data); a != z || n == before {
			t.Fatalf("a is %s and z is %s, after %d changes", a, z, n-before)
		}
	}
}

func TestWatchStormPagesOfManyMoments(t *testing.T) {
	storm(t, torn(open(t, "mem://?history=4"), func() {}), 300)
}

// A store that claims only List and Watch is a source that claims less.
func TestSourceOnPlainStore(t *testing.T) {
	p := altered{Provider: open(t, "mem://").(kvdriver.Provider), without: []fairlead.Claim{kvdriver.ClaimTxn, kvdriver.ClaimCAS, kvdriver.ClaimWatchTxn}}
	s := openSource(t, p, config.Require(config.Write, config.DeleteVisible))
	set(t, s, put("a", "1"), put("b", "2"), config.Delete("b"+"c"))
	state, err := s.Snapshot(t.Context())
	if err != nil || values(state) != "map[a:1 b:2]" {
		t.Errorf("got %s, %v", values(state), err)
	}
	_, err = s.Set(t.Context(), config.Create("a", nil))
	wantCode(t, err, fairlead.Unsupported)
	_, err = config.Open(t.Context(), p, "app", config.Require(config.Snapshot, config.AtomicSet))
	wantCode(t, err, fairlead.Unsupported)
	for _, word := range []string{"config.Snapshot", "kv.WatchTxn", "config.AtomicSet", "kv.Txn"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not name %s", err, word)
		}
	}
}

// Without Txn, a Set stops at the first change that fails.
func TestSourceSetOneByOne(t *testing.T) {
	p := altered{Provider: open(t, "mem://").(kvdriver.Provider), without: []fairlead.Claim{kvdriver.ClaimTxn}}
	s := openSource(t, p, config.Require(config.CompareAndSet))
	set(t, s, config.Create("a", []byte("1")))
	_, err := s.Set(t.Context(), config.Create("a", nil), put("b", "1"))
	wantCode(t, err, fairlead.Conflict)
	_, err = s.Set(t.Context(), put("b", "1"), config.Create("a", nil), put("c", "1"))
	wantCode(t, err, fairlead.UnknownOutcome)
	state, err := s.Snapshot(t.Context())
	if err != nil || values(state) != "map[a:1 b:1]" {
		t.Errorf("got %s, %v", values(state), err)
	}
	set(t, s, config.PutIf("a", []byte("2"), state.Values["a"].Version), config.DeleteIf("b", state.Values["b"].Version))
}

func TestOpenNeedsListAndWatch(t *testing.T) {
	p := altered{Provider: open(t, "mem://").(kvdriver.Provider), without: []fairlead.Claim{kvdriver.ClaimWatch}}
	_, err := config.Open(t.Context(), p, "app")
	wantCode(t, err, fairlead.Unsupported)
	if !strings.Contains(err.Error(), "kv.Watch") || strings.Contains(err.Error(), "kv.List") {
		t.Errorf("%v does not name what is missing", err)
	}
}

// silent is a store that a test can make unreachable: calls fail then, and watchers
// report nothing, like a watcher that reconnects without an error.
type silent struct {
	kvdriver.Store
	away *atomic.Bool
}

func (s silent) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
	if s.away.Load() {
		return []kvdriver.Result{{Err: errAway}}
	}
	return s.Store.Do(ctx, ops)
}

func (s silent) List(ctx context.Context, r kvdriver.ListRequest) (kvdriver.Page, error) {
	if s.away.Load() {
		return kvdriver.Page{}, errAway
	}
	return s.Store.List(ctx, r)
}

func (s silent) Watch(ctx context.Context, r kvdriver.WatchRequest) (kvdriver.Watcher, error) {
	w, err := s.Store.Watch(ctx, r)
	return silentWatcher{w, s.away}, err
}

type silentWatcher struct {
	kvdriver.Watcher
	away *atomic.Bool
}

// Next loses the events that arrive while the store is away.
func (w silentWatcher) Next(ctx context.Context) ([]kvdriver.Event, error) {
	for {
		events, err := w.Watcher.Next(ctx)
		if err != nil || !w.away.Load() {
			return events, err
		}
	}
}

var errAway = fairlead.Errorf(fairlead.Unavailable, "away")

func TestWatchOutage(t *testing.T) {
	p := open(t, "mem://")
	writer := openSource(t, p)
	var away atomic.Bool
	w := watch[pair](t, config.From(altered{Provider: p.(kvdriver.Provider),
		alter: func(s kvdriver.Store) kvdriver.Store { return silent{s, &away} }}, "app"))
	away.Store(true)
	eventually(t, "the outage in Health", func() bool { return w.Health().Layers[0].Unreachable != nil }, func() any { return w.Health() })
	set(t, writer, both(7)...)
	if w.Get().Left != 0 {
		t.Errorf("a change was seen although the store is away")
	}
	away.Store(false)
	eventually(t, "the change made meanwhile", func() bool { return w.Get().Left == 7 && w.Err() == nil }, func() any { return w.Health() })
	away.Store(true)
	eventually(t, "the second outage", func() bool { return w.Err() != nil }, func() any { return w.Health() })
	away.Store(false)
	eventually(t, "recovery without a change", func() bool { return w.Err() == nil }, func() any { return w.Health() })
}
