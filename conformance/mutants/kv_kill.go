package mutants

import (
	"context"
	"fmt"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// killable makes a mutant that claims durability and whose backend can be killed
// and started. wrap changes its stores. While the backend is down, calls fail
// before they reach the changes, unless wrap replaces do or list itself.
func killable(name, breaks string, caughtBy []string, wrap func(o *brokerOutage, s driver.Store) store) Mutant {
	o := newBrokerOutage()
	m := kvMutantOf(name, breaks, caughtBy, kvProvider{})
	m.Open = killableProvider(o, wrap)
	m.Control = o.reset
	return m
}

func killableProvider(o *brokerOutage, wrap func(o *brokerOutage, s driver.Store) store) conformance.Opener {
	return kvProvider{
		describe: claimsOfKV(fairlead.DurableFsync, fairlead.DurableQuorum),
		wrap: changed(func(s driver.Store) store {
			changes := wrap(o, s)
			changes.Store = s
			return outageOver(o, changes)
		}),
	}.opens("mem://")
}

// outageOver makes every call of a store fail while the backend is down, except
// calls for which the store has a do or list of its own.
func outageOver(o *brokerOutage, s store) store {
	over := store{
		do: func(ctx context.Context, ops []driver.Op) []driver.Result {
			if o.down() && s.do == nil {
				return away(len(ops))
			}
			return s.Do(ctx, ops)
		},
		list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
			if o.down() && s.list == nil {
				return driver.Page{}, errAway
			}
			return s.List(ctx, r)
		},
		txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) {
			if o.down() {
				return "", errAway
			}
			return s.Txn(ctx, t)
		},
		watch: func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
			if o.down() {
				return nil, errAway
			}
			w, err := s.Watch(ctx, r)
			if err != nil {
				return nil, err
			}
			return watcherOf{w, o.next(w)}, nil
		},
	}
	return over
}

// next returns a Next that fails while the backend is down.
func (o *brokerOutage) next(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
	return func(ctx context.Context) ([]driver.Event, error) {
		if o.down() {
			time.Sleep(5 * time.Millisecond) // callers try again at once
			return nil, errAway
		}
		return w.Next(ctx)
	}
}

func away(n int) []driver.Result {
	results := make([]driver.Result, n)
	for i := range results {
		results[i].Err = errAway
	}
	return results
}

func kvKillMutants() []Mutant {
	return []Mutant{
		killable("kill-acked-early", "a write is acknowledged before it is stored, and a kill comes in between", cases("kv/kill-fsync", "kv/kill-quorum", "kv/kill-outcomes", "kv/linear-kill"), func(o *brokerOutage, s driver.Store) store {
			return store{each: func(op driver.Op) driver.Result {
				if op.Kind != driver.OpPut {
					return one(s, op)
				}
				op.Value = append([]byte(nil), op.Value...)
				o.runSoon(func() { one(s, op) })
				return driver.Result{Revision: "soon"}
			}}
		}),
		killable("kill-applies-later", "a write that failed while the backend was down is applied", cases("kv/kill-fsync", "kv/kill-quorum", "kv/kill-outcomes"), func(o *brokerOutage, s driver.Store) store {
			return store{do: func(ctx context.Context, ops []driver.Op) []driver.Result {
				if results := s.Do(ctx, ops); !o.down() {
					return results
				}
				return away(len(ops))
			}}
		}),
		killable("kill-empty", "a listing is empty while the backend is down", cases("kv/kill-reads"), func(o *brokerOutage, s driver.Store) store {
			return store{list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
				if o.down() {
					return driver.Page{}, nil
				}
				return s.List(ctx, r)
			}}
		}),
		killable("kill-revisions-restart", "revisions are counted from the start after a restart", cases("kv/kill-revisions"), func(o *brokerOutage, s driver.Store) store {
			writes := 0
			return store{out: func(op driver.Op, r *driver.Result) {
				if kills, _ := o.state(); kills > 0 && op.Kind == driver.OpPut && r.Err == nil {
					writes++
					r.Revision = driver.Revision(fmt.Sprint(writes))
				}
			}}
		}),
		killable("kill-watch-quiet", "a watcher goes quiet when the backend was killed", cases("kv/kill-watch"), func(o *brokerOutage, s driver.Store) store {
			return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
				return func(ctx context.Context) ([]driver.Event, error) {
					events, err := w.Next(ctx)
					if kills, _ := o.state(); kills > 0 {
						<-ctx.Done()
						return nil, fairlead.ContextError(ctx)
					}
					return events, err
				}
			})
		}),
		killable("kill-watch-gap", "a watcher continues from the time when the backend has started", cases("kv/kill-watch"), gapAfterKill),
		killable("kill-ttl-restarts", "times to live start again when the backend starts", cases("kv/kill-ttl"), ttlAnew),
	}
}

// gapAfterKill drops the first events after a restart.
func gapAfterKill(o *brokerOutage, _ driver.Store) store {
	dropped := 0
	return store{events: without(func(driver.Event) bool {
		if kills, _ := o.state(); kills == 0 || dropped == 5 {
			return false
		}
		dropped++
		return true
	})}
}

// ttlAnew writes all keys with a time to live again at every start.
func ttlAnew(o *brokerOutage, s driver.Store) store {
	var mu sync.Mutex
	given := map[string]driver.Op{}
	o.mu.Lock()
	o.starts = append(o.starts, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, op := range given {
			one(s, op)
		}
	})
	o.mu.Unlock()
	return store{in: func(op *driver.Op) {
		mu.Lock()
		defer mu.Unlock()
		if op.TTL > 0 {
			given[op.Key] = *op
		}
	}}
}
