package mutants

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// kvCallMutants break rules about contexts, closing, calls of many keys and
// concurrent calls.
func kvCallMutants() []Mutant {
	return []Mutant{
		kvMutant("context-ignored", "a listing, a Txn and a Watch do not look at their context", cases("kv/canceled-before", "kv/deadline-before"), func(s driver.Store) store {
			return store{
				list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
					return s.List(context.WithoutCancel(ctx), r)
				},
				txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) {
					return s.Txn(context.WithoutCancel(ctx), t)
				},
			}
		}),
		kvMutant("deadline-lies", "a write that was applied reports that it missed its deadline", cases("kv/deadline-honest"), func(s driver.Store) store {
			var calls atomic.Int64
			return store{out: func(op driver.Op, r *driver.Result) {
				if op.Kind.IsWrite() && calls.Add(1)%7 == 0 {
					*r = driver.Result{Err: fairlead.Errorf(fairlead.DeadlineExceeded, "too late")}
				}
			}}
		}),
		kvMutant("close-closes-all", "closing one handle closes all", cases("kv/close-store"), closesAllHandles()),
		kvMutant("write-behind", "writes are acknowledged when they are buffered, and Close drops the buffer", cases("kv/close-under-way", "kv/linear-handles", "kv/linear-history"), writeBehind),
		kvMutant("getmany-once", "a key that is asked for twice in one call is answered once", cases("kv/getmany"), func(s driver.Store) store {
			return store{do: func(ctx context.Context, ops []driver.Op) []driver.Result {
				results, seen := s.Do(ctx, ops), map[string]bool{}
				for i, op := range ops {
					if seen[op.Key] {
						results[i] = driver.Result{Err: fairlead.NotFound}
					}
					seen[op.Key] = true
				}
				return results
			}}
		}),
		kvMutant("batch-tail", "the last answer of a full batch is lost", cases("kv/getmany-batches"), func(s driver.Store) store {
			return store{do: func(ctx context.Context, ops []driver.Op) []driver.Result {
				results := s.Do(ctx, ops)
				if len(ops) >= 1000 {
					results[len(ops)-1] = driver.Result{Err: fairlead.NotFound}
				}
				return results
			}}
		}),
		kvMutant("getmany-4mb", "answers of more than 4 MiB together are refused", cases("kv/getmany-large"), func(s driver.Store) store {
			return store{do: func(ctx context.Context, ops []driver.Op) []driver.Result {
				results, size := s.Do(ctx, ops), 0
				for i, r := range results {
					if size += len(r.Value); size > 4<<20 {
						results[i] = driver.Result{Err: fairlead.Errorf(fairlead.Internal, "the answer is too large")}
					}
				}
				return results
			}}
		}),
		kvMutant("stale-reads", "every fifth read is answered from what the reader saw before", cases("kv/read-own-write", "kv/linear-handles", "kv/linear-history", "kv/txn-read-in-turn"), staleReads),
		batching("crosstalk", "two concurrent callers get each other's answers", cases("kv/no-crosstalk"), func(results []driver.Result, _ []driver.Op) {
			if len(results) > 1 {
				results[0], results[1] = results[1], results[0]
			}
		}),
		batching("failures-spread", "a call that fails makes those that were sent with it fail", cases("kv/failures-apart", "kv/no-crosstalk"), func(results []driver.Result, _ []driver.Op) {
			for i := range results {
				if results[i].Err != nil {
					for j := range results {
						results[j] = driver.Result{Err: results[i].Err}
					}
					return
				}
			}
		}),
		batching("deadline-shared", "the earliest deadline of concurrent calls counts for all of them", cases("kv/neighbour-gives-up"), func(results []driver.Result, ops []driver.Op) {
			for _, op := range ops {
				if time.Now().After(op.Deadline) {
					for i := range results {
						results[i] = driver.Result{Err: fairlead.Errorf(fairlead.DeadlineExceeded, "too late")}
					}
				}
			}
		}),
	}
}

// batching is a mutant that gets concurrent calls in batches.
func batching(name, breaks string, caughtBy []string, spoil func([]driver.Result, []driver.Op)) Mutant {
	return kvMutantOf(name, breaks, caughtBy, kvProvider{
		describe: func(f *fairlead.FacetDescription) { f.Limits.Pipelines = 1 },
		wrap: changed(func(s driver.Store) store {
			return store{do: func(ctx context.Context, ops []driver.Op) []driver.Result {
				results := s.Do(ctx, ops)
				time.Sleep(time.Millisecond) // others queue up
				spoil(results, ops)
				return results
			}}
		}),
	})
}

// closesAllHandles makes handles that each close all the others.
func closesAllHandles() func(driver.Store) store {
	var mu sync.Mutex
	var handles []driver.Store
	return func(s driver.Store) store {
		mu.Lock()
		defer mu.Unlock()
		handles = append(handles, s)
		return store{close: func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			for _, h := range handles {
				_ = h.Close(ctx)
			}
			return nil
		}}
	}
}

// writeBehind buffers blind puts until another operation is made through the same
// handle, or there are more than 20. Close drops the puts that are still buffered.
func writeBehind(s driver.Store) store {
	var mu sync.Mutex
	var buffer []driver.Op
	return store{do: func(ctx context.Context, ops []driver.Op) []driver.Result {
		mu.Lock()
		defer mu.Unlock()
		puts := !slices.ContainsFunc(ops, func(op driver.Op) bool { return op.Kind != driver.OpPut })
		if !puts || len(buffer) > 20 {
			s.Do(context.WithoutCancel(ctx), buffer)
			buffer = nil
		}
		if !puts || ctx.Err() != nil {
			return s.Do(ctx, ops)
		}
		results := make([]driver.Result, len(ops))
		for i, op := range ops {
			op.Value = append([]byte(nil), op.Value...)
			buffer = append(buffer, op)
			results[i].Revision = "buffered"
		}
		return results
	}}
}

// staleReads gives every fifth read of a key the result of the previous read.
func staleReads(s driver.Store) store {
	var mu sync.Mutex
	before := map[string]driver.Result{}
	reads := 0
	return store{each: func(op driver.Op) driver.Result {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind != driver.OpGet {
			return one(s, op)
		}
		old, known := before[op.Key]
		if reads++; known && reads%5 == 0 {
			return old
		}
		before[op.Key] = one(s, op)
		return before[op.Key]
	}}
}
