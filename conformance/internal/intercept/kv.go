package intercept

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// OpenStore implements [driver.Provider].
func (p provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	return open(ctx, p, fairlead.KV, Call{Op: "kv.OpenStore", Target: c.Name, Input: c},
		func(d driver.Provider) (driver.Store, error) { return d.OpenStore(ctx, c) },
		func(s driver.Store) driver.Store { return store{s, c.Name, p.hooks} })
}

// Stores implements [driver.Provider].
func (p provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	return manage(ctx, p, fairlead.KV, Call{Op: "kv.Stores", Target: prefix},
		func(d driver.Provider) ([]string, error) { return d.Stores(ctx, prefix) })
}

// DeleteStore implements [driver.Provider].
func (p provider) DeleteStore(ctx context.Context, name string) error {
	return managePlain(ctx, p, fairlead.KV, Call{Op: "kv.DeleteStore", Target: name},
		func(d driver.Provider) error { return d.DeleteStore(ctx, name) })
}

type store struct {
	driver.Store
	name  string
	hooks *Hooks
}

// Do implements [driver.Store].
func (s store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	return runBatch(ctx, s.hooks, Call{Op: "kv.Do", Target: s.name}, ops,
		func() []driver.Result { return s.Store.Do(ctx, ops) },
		func(err error) driver.Result { return driver.Result{Err: err} })
}

// Txn implements [driver.Store].
func (s store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	return run(ctx, s.hooks, Call{Op: "kv.Txn", Target: s.name, Input: t}, func() (driver.Revision, error) { return s.Store.Txn(ctx, t) })
}

// List implements [driver.Store].
func (s store) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	return run(ctx, s.hooks, Call{Op: "kv.List", Target: s.name, Input: r}, func() (driver.Page, error) { return s.Store.List(ctx, r) })
}

// Watch implements [driver.Store].
func (s store) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	w, err := run(ctx, s.hooks, Call{Op: "kv.Watch", Target: s.name, Input: r}, func() (driver.Watcher, error) { return s.Store.Watch(ctx, r) })
	if err != nil || w == nil {
		return w, err
	}
	return watcher{w, s.name, s.hooks}, nil
}

// Close implements [driver.Store].
func (s store) Close(ctx context.Context) error {
	return runClose(ctx, s.hooks, Call{Op: "kv.Close", Target: s.name}, s.Store.Close)
}

type watcher struct {
	driver.Watcher
	name  string
	hooks *Hooks
}

// Next implements [driver.Watcher].
func (w watcher) Next(ctx context.Context) ([]driver.Event, error) {
	return run(ctx, w.hooks, Call{Op: "kv.Watcher.Next", Target: w.name}, func() ([]driver.Event, error) { return w.Watcher.Next(ctx) })
}

// Close implements [driver.Watcher].
func (w watcher) Close(ctx context.Context) error {
	return runClose(ctx, w.hooks, Call{Op: "kv.Watcher.Close", Target: w.name}, w.Watcher.Close)
}
