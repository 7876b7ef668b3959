package mutants

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
	_ "fairlead.dev/providers/memory" // which every mutant wraps
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// whole is what the memory provider implements.
type whole interface {
	driver.Provider
	psdriver.Provider
	rpcdriver.Provider
}

// kvProvider is a memory provider whose kv facet is changed; a nil function
// changes nothing.
type kvProvider struct {
	whole
	wrap     func(driver.Store) driver.Store
	describe func(*fairlead.FacetDescription)
	stores   func(ctx context.Context, p driver.Provider, prefix string) ([]string, error)
	remove   func(ctx context.Context, p driver.Provider, name string) error
}

func (p kvProvider) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.whole.Describe(ctx)
	for i := range d.Facets {
		if d.Facets[i].Facet == fairlead.KV && p.describe != nil {
			p.describe(&d.Facets[i])
		}
	}
	return d, err
}

func (p kvProvider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s, err := p.whole.OpenStore(ctx, c)
	if err != nil || p.wrap == nil {
		return s, err
	}
	return p.wrap(s), nil
}

func (p kvProvider) Stores(ctx context.Context, prefix string) ([]string, error) {
	if p.stores != nil {
		return p.stores(ctx, p.whole, prefix)
	}
	return p.whole.Stores(ctx, prefix)
}

func (p kvProvider) DeleteStore(ctx context.Context, name string) error {
	if p.remove != nil {
		return p.remove(ctx, p.whole, name)
	}
	return p.whole.DeleteStore(ctx, name)
}

// opens opens memory providers that are changed as p says.
func (p kvProvider) opens(url string) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		inner, err := fairlead.Open(ctx, url)
		if err != nil {
			return nil, err
		}
		own := p
		own.whole = inner.(whole)
		return own, nil
	}
}

// withStore opens a memory provider whose stores are wrapped.
func withStore(wrap func(driver.Store) driver.Store) conformance.Opener {
	return kvProvider{wrap: wrap}.opens("mem://")
}

// store is a handle of a store with changes; a nil function changes nothing.
type store struct {
	driver.Store
	in   func(*driver.Op)                 // on the way in, including the writes of a Txn
	out  func(driver.Op, *driver.Result)  // on the way out
	each func(op driver.Op) driver.Result // does one operation
	do   func(ctx context.Context, ops []driver.Op) []driver.Result
	txn  func(ctx context.Context, t driver.Txn) (driver.Revision, error)
	list func(ctx context.Context, r driver.ListRequest) (driver.Page, error)
	// watching changes the request of a watch.
	watching func(*driver.WatchRequest)
	watch    func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error)
	// events changes the events that a watcher returns. If none is left, the
	// watcher continues to wait.
	events func([]driver.Event) []driver.Event
	close  func(ctx context.Context) error
}

func (s store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	changed := append([]driver.Op(nil), ops...)
	for i := range changed {
		if s.in != nil {
			s.in(&changed[i])
		}
	}
	results := s.doAll(ctx, changed)
	for i := range results {
		if s.out != nil {
			s.out(ops[i], &results[i])
		}
	}
	return results
}

func (s store) doAll(ctx context.Context, ops []driver.Op) []driver.Result {
	switch {
	case s.do != nil:
		return s.do(ctx, ops)
	case s.each == nil || ctx.Err() != nil:
		return s.Store.Do(ctx, ops)
	}
	results := make([]driver.Result, len(ops))
	for i, op := range ops {
		results[i] = s.each(op)
	}
	return results
}

func (s store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	if s.in != nil {
		t.Writes = append([]driver.Op(nil), t.Writes...)
		for i := range t.Writes {
			s.in(&t.Writes[i])
		}
	}
	if s.txn != nil {
		return s.txn(ctx, t)
	}
	return s.Store.Txn(ctx, t)
}

func (s store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	if s.list != nil {
		return s.list(ctx, r)
	}
	return s.Store.List(ctx, r)
}

func (s store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	if s.watching != nil {
		s.watching(&r)
	}
	if s.watch != nil {
		return s.watch(ctx, r)
	}
	w, err := s.Store.Watch(ctx, r)
	if err != nil || s.events == nil {
		return w, err
	}
	return eventsChanged{w, s.events}, nil
}

func (s store) Close(ctx context.Context) error {
	if s.close != nil {
		return s.close(ctx)
	}
	return s.Store.Close(ctx)
}

// eventsChanged is a watcher whose events are changed.
type eventsChanged struct {
	driver.Watcher
	change func([]driver.Event) []driver.Event
}

func (w eventsChanged) Next(ctx context.Context) ([]driver.Event, error) {
	for {
		events, err := w.Watcher.Next(ctx)
		if err != nil {
			return nil, err
		}
		if events = w.change(events); len(events) > 0 {
			return events, nil
		}
	}
}

// watcherOf is a watcher with a Next of its own.
type watcherOf struct {
	driver.Watcher
	next func(ctx context.Context) ([]driver.Event, error)
}

func (w watcherOf) Next(ctx context.Context) ([]driver.Event, error) { return w.next(ctx) }

// withWatcher makes the watchers of a store have a Next of their own.
func withWatcher(s driver.Store, next func(w driver.Watcher) func(context.Context) ([]driver.Event, error)) store {
	return store{watch: func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
		w, err := s.Watch(ctx, r)
		if err != nil {
			return nil, err
		}
		return watcherOf{w, next(w)}, nil
	}}
}

// one carries out one operation.
func one(s driver.Store, op driver.Op) driver.Result {
	return s.Do(context.Background(), []driver.Op{op})[0]
}

// get reads a key.
func get(s driver.Store, key string) driver.Result {
	return one(s, driver.Op{Kind: driver.OpGet, Key: key})
}

func exists(s driver.Store, key string) bool { return get(s, key).Err == nil }

func conflict() error { return fairlead.Errorf(fairlead.Conflict, "the condition does not hold") }

// kvMutant is a mutant whose handles of stores are changed; wrap gets the
// handle and returns the changes.
func kvMutant(name, breaks string, caughtBy []string, wrap func(s driver.Store) store) Mutant {
	return kvMutantOf(name, breaks, caughtBy, kvProvider{wrap: changed(wrap)})
}

// changed makes a wrapper from a function that returns changes.
func changed(wrap func(s driver.Store) store) func(driver.Store) driver.Store {
	return func(s driver.Store) driver.Store {
		w := wrap(s)
		w.Store = s
		return w
	}
}

// kvMutantOf is a mutant with a changed kv facet.
func kvMutantOf(name, breaks string, caughtBy []string, p kvProvider) Mutant {
	return Mutant{Name: "kv-" + name, Breaks: breaks, CaughtBy: caughtBy, Open: p.opens("mem://")}
}

// kvDrift is a mutant whose first description of the kv facet, which the suite
// uses, differs from the later ones.
func kvDrift(name, breaks string, caughtBy []string, change func(*fairlead.FacetDescription)) Mutant {
	return Mutant{Name: "kv-" + name, Breaks: breaks, CaughtBy: caughtBy, Open: drifting(func(d *fairlead.Description) {
		for i := range d.Facets {
			if d.Facets[i].Facet == fairlead.KV {
				change(&d.Facets[i])
			}
		}
	})}
}
