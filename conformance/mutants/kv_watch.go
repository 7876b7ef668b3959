package mutants

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// eventMutant changes the events that a watcher returns.
func eventMutant(name, breaks string, caughtBy []string, change func([]driver.Event) []driver.Event) Mutant {
	return kvMutant(name, breaks, caughtBy, func(driver.Store) store { return store{events: change} })
}

// watchingMutant changes the requests of watches.
func watchingMutant(name, breaks string, caughtBy []string, change func(*driver.WatchRequest)) Mutant {
	return kvMutant(name, breaks, caughtBy, func(driver.Store) store { return store{watching: change} })
}

// without drops events.
func without(drop func(driver.Event) bool) func([]driver.Event) []driver.Event {
	return func(events []driver.Event) []driver.Event { return slices.DeleteFunc(events, drop) }
}

// eachEvent changes events one by one.
func eachEvent(change func(*driver.Event)) func([]driver.Event) []driver.Event {
	return func(events []driver.Event) []driver.Event {
		for i := range events {
			change(&events[i])
		}
		return events
	}
}

var kvWatchMutants = []Mutant{
	eventMutant("watch-no-values", "events come without values", cases("kv/watch-put", "kv/watch-large", "kv/alias-watch", "kv/watch-last"), eachEvent(func(e *driver.Event) { e.Value = nil })),
	eventMutant("watch-own-revision", "events have a number of their own for a revision", cases("kv/watch-put", "kv/watch-conditional", "kv/watch-last", "kv/txn-events"), eachEvent(func(e *driver.Event) { e.Revision += "0" })),
	eventMutant("watch-no-deletes", "deletes are not seen", cases("kv/watch-delete", "kv/watch-conditional", "kv/watch-after-put", "kv/watch-after-page", "kv/every-change"), without(func(e driver.Event) bool { return e.Kind == driver.DeleteEvent })),
	eventMutant("watch-delete-empty", "a delete is seen as a put of nothing", cases("kv/watch-delete", "kv/list-watch"), eachEvent(func(e *driver.Event) { e.Kind = driver.PutEvent })),
	kvMutant("watch-no-cas", "what CAS does is not seen", cases("kv/watch-conditional"), func(s driver.Store) store {
		var mu sync.Mutex
		hidden := map[driver.Revision]bool{}
		return store{
			out: func(op driver.Op, r *driver.Result) {
				mu.Lock()
				defer mu.Unlock()
				hidden[r.Revision] = op.Kind == driver.OpCAS
			},
			events: without(func(e driver.Event) bool {
				mu.Lock()
				defer mu.Unlock()
				return hidden[e.Revision]
			}),
		}
	}),
	watchingMutant("watch-all", "a watch of a prefix sees all keys", cases("kv/watch-prefix"), func(r *driver.WatchRequest) { r.Prefix = "" }),
	watchingMutant("watch-prefix-pattern", "a star in the prefix of a watch is a pattern", cases("kv/watch-prefix"), func(r *driver.WatchRequest) { r.Prefix = strings.TrimSuffix(r.Prefix, "*") }),
	watchingMutant("watch-replays", "a watch from now sees what was before", cases("kv/watch-now", "kv/watch-delete", "kv/every-no-change"), func(r *driver.WatchRequest) {
		if r.After == "" {
			r.After = "0"
		}
	}),
	watchingMutant("watch-from-now", "a watch after a revision begins now", cases("kv/watch-after-put", "kv/watch-after-event", "kv/watch-after-page", "kv/watch-empty-page", "kv/every-same-order", "kv/every-after-old", "kv/watch-txn-after", "kv/alias-watch", "kv/list-watch"), func(r *driver.WatchRequest) { r.After = "" }),
	kvMutant("watch-inclusive", "a watch after a revision begins with it", cases("kv/watch-after-put", "kv/watch-after-event", "kv/every-same-order", "kv/watch-txn-after", "kv/expiry-events"), func(s driver.Store) store {
		return store{watching: func(r *driver.WatchRequest) {
			if r.After != "" {
				r.After = before(r.After)
			}
		}}
	}),
	kvMutant("watch-any-revision", "a watch after a revision that is none begins now", cases("kv/watch-refused"), func(s driver.Store) store {
		return store{watch: func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
			w, err := s.Watch(ctx, r)
			if fairlead.CodeOf(err) == fairlead.Invalid {
				r.After = ""
				return s.Watch(ctx, r)
			}
			return w, err
		}}
	}),
	kvMutant("watch-competes", "watchers share their events out", cases("kv/watch-two", "kv/watch-wakes", "kv/every-same-order", "kv/alias-watch"), func(driver.Store) store {
		var mu sync.Mutex
		taken := map[string]bool{}
		return store{events: without(func(e driver.Event) bool {
			mu.Lock()
			defer mu.Unlock()
			name := e.Key + " " + string(e.Revision)
			defer func() { taken[name] = true }()
			return taken[name]
		})}
	}),
	eventMutant("watch-backwards", "the events of a batch come in the reverse order", cases("kv/watch-order", "kv/watch-after-put", "kv/watch-last", "kv/every-change", "kv/watch-large"), func(events []driver.Event) []driver.Event {
		slices.Reverse(events)
		return events
	}),
	eventMutant("watch-first-state", "of several changes of a key the first is kept", cases("kv/watch-last", "kv/watch-order", "kv/every-change", "kv/every-quick"), perKey(func([]driver.Event) int { return 0 })),
	eventMutant("watch-merges", "of several changes of a key the last is kept, though every one is claimed", cases("kv/every-change", "kv/every-quick"), perKey(func(all []driver.Event) int { return len(all) - 1 })),
	eventMutant("watch-twice", "events come twice", cases("kv/every-change", "kv/every-quick", "kv/every-after-old", "kv/every-same-order"), func(events []driver.Event) []driver.Event { return append(events, events...) }),
	kvMutant("watch-conflicts", "a write that ends with a Conflict is seen", cases("kv/every-no-change"), func(s driver.Store) store {
		return store{out: func(op driver.Op, r *driver.Result) {
			if fairlead.CodeOf(r.Err) == fairlead.Conflict {
				one(s, driver.Op{Kind: driver.OpPut, Key: op.Key, Value: get(s, op.Key).Value})
			}
		}}
	}),
	kvMutant("watch-txn-split", "events come one at a time", cases("kv/watch-txn"), oneAtATime),
	eventMutant("expiry-unseen", "the end of a time to live is not seen", cases("kv/watch-expiry", "kv/expiry-events"), without(func(e driver.Event) bool { return e.Kind == driver.ExpireEvent })),
	eventMutant("expiry-as-delete", "the end of a time to live is reported as a delete", cases("kv/expiry-events", "kv/watch-expiry"), eachEvent(func(e *driver.Event) {
		if e.Kind == driver.ExpireEvent {
			e.Kind = driver.DeleteEvent
		}
	})),
	eventMutant("watch-slow-drops", "a reader that is 300 events behind loses the older ones", cases("kv/watch-slow", "kv/every-quick", "kv/every-after-old"), func(events []driver.Event) []driver.Event {
		return events[max(0, len(events)-300):]
	}),
	kvMutant("alias-watch", "all watchers get one slice of a value", cases("kv/alias-watch"), func(driver.Store) store {
		same := oneSlice()
		return store{events: eachEvent(func(e *driver.Event) { e.Value = same(e.Key, e.Revision, e.Value) })}
	}),
	eventMutant("watch-4mb", "events beyond 4 MiB are left out", cases("kv/watch-large"), func(events []driver.Event) []driver.Event {
		size := 0
		return slices.DeleteFunc(events, func(e driver.Event) bool { size += len(e.Value); return size > 4<<20 })
	}),
}

// perKey keeps only one event of each key.
func perKey(keep func([]driver.Event) int) func([]driver.Event) []driver.Event {
	return func(events []driver.Event) []driver.Event {
		byKey := map[string][]driver.Event{}
		for _, e := range events {
			byKey[e.Key] = append(byKey[e.Key], e)
		}
		return slices.DeleteFunc(events, func(e driver.Event) bool {
			all := byKey[e.Key]
			return e.Revision != all[keep(all)].Revision
		})
	}
}

// kvNextMutants wait wrongly.
var kvNextMutants = []Mutant{
	kvMutant("watch-never-wakes", "a Next that waits is not woken by a change", cases("kv/watch-wakes", "kv/watch-expiry"), func(s driver.Store) store {
		return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
			return func(ctx context.Context) ([]driver.Event, error) {
				now, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				events, err := w.Next(now)
				if err != nil && ctx.Err() == nil && fairlead.CodeOf(err) == fairlead.DeadlineExceeded {
					<-ctx.Done()
					return nil, fairlead.ContextError(ctx)
				}
				return events, err
			}
		})
	}),
	kvMutant("watch-context-ignored", "a Next that waits does not notice the end of its context", cases("kv/watch-cancel"), func(s driver.Store) store {
		return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
			return func(ctx context.Context) ([]driver.Event, error) { return w.Next(context.WithoutCancel(ctx)) }
		})
	}),
	kvMutant("watch-cancel-loses", "a Next whose context has ended throws away what it had", cases("kv/watch-cancel"), func(s driver.Store) store {
		return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
			return func(ctx context.Context) ([]driver.Event, error) {
				if ctx.Err() != nil {
					now, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
					defer cancel()
					_, _ = w.Next(now)
				}
				return w.Next(ctx)
			}
		})
	}),
	kvMutant("watch-close-ignored", "a Next that waits does not notice that its watcher is closed", cases("kv/watch-close"), func(s driver.Store) store {
		return store{watch: func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
			w, err := s.Watch(ctx, r)
			return endlessWatcher{w}, err
		}}
	}),
	kvMutant("watch-ended-delivers", "a Next whose context has ended delivers what there is", cases("kv/watch-ended"), func(s driver.Store) store {
		return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
			return func(ctx context.Context) ([]driver.Event, error) {
				if ctx.Err() != nil {
					now, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
					defer cancel()
					if events, err := w.Next(now); err == nil {
						return events, nil
					}
				}
				return w.Next(ctx)
			}
		})
	}),
	kvMutant("watch-closed-delivers", "a watcher that is closed delivers what it has in hand first", cases("kv/watch-ended"), func(s driver.Store) store {
		return store{watch: func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
			w, err := s.Watch(ctx, r)
			return &lateWatcher{Watcher: w}, err
		}}
	}),
	kvMutant("watch-compacted-hidden", "a watcher whose history is gone continues from now", cases("kv/watch-old"), func(s driver.Store) store {
		return store{watch: func(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
			w, err := s.Watch(ctx, r)
			if fairlead.CodeOf(err) == fairlead.Compacted {
				w, err = s.Watch(ctx, driver.WatchRequest{Prefix: r.Prefix})
			}
			if err != nil {
				return nil, err
			}
			return watcherOf{w, skipping(s, r.Prefix, w)}, nil
		}}
	}),
}

// lateWatcher delivers, after it is closed, the events that were waiting then.
type lateWatcher struct {
	driver.Watcher
	mu     sync.Mutex
	inHand []driver.Event
}

func (w *lateWatcher) Next(ctx context.Context) ([]driver.Event, error) {
	w.mu.Lock()
	inHand := w.inHand
	w.inHand = nil
	w.mu.Unlock()
	if len(inHand) > 0 {
		return inHand, nil
	}
	return w.Watcher.Next(ctx)
}

func (w *lateWatcher) Close(ctx context.Context) error {
	now, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	events, _ := w.Watcher.Next(now)
	w.mu.Lock()
	w.inHand = events
	w.mu.Unlock()
	return w.Watcher.Close(ctx)
}

// endlessWatcher ends only with its provider.
type endlessWatcher struct{ driver.Watcher }

func (w endlessWatcher) Next(ctx context.Context) ([]driver.Event, error) {
	return w.Watcher.Next(context.WithoutCancel(ctx))
}

func (endlessWatcher) Close(context.Context) error { return nil }

// skipping returns a Next that begins a new watch where it should return Compacted.
func skipping(s driver.Store, prefix string, w driver.Watcher) func(context.Context) ([]driver.Event, error) {
	return func(ctx context.Context) ([]driver.Event, error) {
		events, err := w.Next(ctx)
		if fairlead.CodeOf(err) != fairlead.Compacted {
			return events, err
		}
		if w, err = s.Watch(ctx, driver.WatchRequest{Prefix: prefix}); err != nil {
			return nil, err
		}
		return w.Next(ctx)
	}
}

// oneAtATime makes watchers return one event at a time.
func oneAtATime(s driver.Store) store {
	return withWatcher(s, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
		var waiting []driver.Event
		return func(ctx context.Context) ([]driver.Event, error) {
			if len(waiting) == 0 {
				var err error
				if waiting, err = w.Next(ctx); err != nil {
					return nil, err
				}
			}
			first := waiting[:1:1]
			waiting = waiting[1:]
			return first, nil
		}
	})
}
