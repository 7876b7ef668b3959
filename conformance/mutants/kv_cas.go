package mutants

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// becoming carries out operations of one kind as operations of another kind.
func becoming(from, to driver.OpKind) func(driver.Store) store {
	return func(driver.Store) store {
		return store{in: func(op *driver.Op) {
			if op.Kind == from {
				op.Kind = to
			}
		}}
	}
}

var kvCASMutants = []Mutant{
	kvMutant("create-tombstone", "a key that was deleted cannot be created again", cases("kv/create-new"), func(s driver.Store) store {
		deleted := map[string]bool{}
		return store{each: func(op driver.Op) driver.Result {
			switch {
			case op.Kind == driver.OpDelete:
				deleted[op.Key] = true
			case op.Kind == driver.OpCreate && deleted[op.Key]:
				return driver.Result{Err: conflict()}
			}
			return one(s, op)
		}}
	}),
	kvMutant("create-overwrites", "Create writes over what exists", cases("kv/create-exists", "kv/create-race", "kv/ttl-conflict", "kv/every-no-change"), becoming(driver.OpCreate, driver.OpPut)),
	kvMutant("create-over-empty", "Create takes an empty value for a missing key", cases("kv/create-exists"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if now := get(s, op.Key); op.Kind == driver.OpCreate && now.Err == nil && len(now.Value) == 0 {
				op.Kind = driver.OpPut
			}
			return one(s, op)
		}}
	}),
	kvMutant("cas-ignored", "CAS writes whatever the revision", cases("kv/cas-stale", "kv/cas-missing", "kv/cas-garbage", "kv/cas-deleted", "kv/cas-recreated", "kv/cas-aba", "kv/cas-race", "kv/cas-expired", "kv/create-put-over"), becoming(driver.OpCAS, driver.OpPut)),
	kvMutant("cas-refused", "CAS with the present revision is a Conflict", cases("kv/cas-ok"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if op.Kind == driver.OpCAS {
				return driver.Result{Err: conflict()}
			}
			return one(s, op)
		}}
	}),
	kvMutant("cas-missing-ok", "CAS creates a key that does not exist", cases("kv/cas-missing", "kv/cas-garbage", "kv/cas-deleted"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if op.Kind == driver.OpCAS && !exists(s, op.Key) {
				op.Kind = driver.OpPut
			}
			return one(s, op)
		}}
	}),
	kvMutant("cas-zero", "the revision 0 means any", cases("kv/cas-garbage"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if op.Revision == "0" {
				op.Revision = get(s, op.Key).Revision
			}
			return one(s, op)
		}}
	}),
	kvMutant("conflict-applies", "a CAS that ends with a Conflict is applied all the same", cases("kv/cas-stale", "kv/cas-aba"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			r := one(s, op)
			if op.Kind == driver.OpCAS && r.Err != nil {
				op.Kind = driver.OpPut
				one(s, op)
			}
			return r
		}}
	}),
	kvMutant("conflict-stale", "every Conflict of a key tells the entry that the first one told", cases("kv/conflict-current"), func(driver.Store) store {
		var mu sync.Mutex
		first := map[string]*driver.Entry{}
		return store{out: func(op driver.Op, r *driver.Result) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.Current == nil:
			case first[op.Key] == nil:
				first[op.Key] = r.Current
			default:
				r.Current = first[op.Key]
			}
		}}
	}),
	kvMutant("check-then-act", "a condition is checked before the write, and not with it", cases("kv/create-race", "kv/cas-race", "kv/cas-counter", "kv/delete-if-race", "kv/txn-race", "kv/txn-transfers"), checkThenAct),
	kvMutant("delete-if-dropped", "DeleteIf is acknowledged and dropped", cases("kv/delete-if-ok"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if op.Kind == driver.OpDeleteIf && get(s, op.Key).Revision == op.Revision {
				return driver.Result{}
			}
			return one(s, op)
		}}
	}),
	kvMutant("delete-if-ignored", "DeleteIf deletes whatever the revision", cases("kv/delete-if-stale", "kv/delete-if-missing", "kv/delete-if-race", "kv/cas-garbage", "kv/cas-expired"), becoming(driver.OpDeleteIf, driver.OpDelete)),
}

// checkPause is how long checkThenAct waits: long enough that other writers write
// meanwhile, even on a busy machine.
const checkPause = 10 * time.Millisecond

// checkThenAct checks conditions, waits a little, and writes blindly.
func checkThenAct(s driver.Store) store {
	holds := func(key string, rev driver.Revision) bool { return get(s, key).Revision == rev }
	blind := map[driver.OpKind]driver.OpKind{driver.OpCreate: driver.OpPut, driver.OpCAS: driver.OpPut, driver.OpDeleteIf: driver.OpDelete}
	return store{
		each: func(op driver.Op) driver.Result {
			if kind, conditional := blind[op.Kind]; conditional {
				if !holds(op.Key, op.Revision) {
					return driver.Result{Err: conflict()}
				}
				time.Sleep(checkPause)
				op.Kind = kind
			}
			return one(s, op)
		},
		txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) {
			for _, c := range t.Conditions {
				if !holds(c.Key, c.Revision) {
					return "", conflict()
				}
			}
			time.Sleep(checkPause)
			t.Conditions = nil
			return s.Txn(ctx, t)
		},
	}
}

// txnMutant changes what a transaction does.
func txnMutant(name, breaks string, caughtBy []string, change func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error)) Mutant {
	return kvMutant(name, breaks, caughtBy, func(s driver.Store) store {
		return store{txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) { return change(ctx, s, t) }}
	})
}

var kvTxnMutants = []Mutant{
	txnMutant("txn-unconditional", "a Txn does not look at its conditions", cases("kv/txn-stale", "kv/txn-exists", "kv/txn-missing", "kv/txn-deleted", "kv/txn-recreated", "kv/txn-revisions", "kv/txn-race", "kv/txn-max", "kv/txn-events"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		t.Conditions = nil
		return s.Txn(ctx, t)
	}),
	txnMutant("txn-first-condition", "a Txn looks at its first condition only", cases("kv/txn-stale", "kv/txn-exists", "kv/txn-missing", "kv/txn-revisions"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		t.Conditions = t.Conditions[:min(1, len(t.Conditions))]
		return s.Txn(ctx, t)
	}),
	txnMutant("txn-existence", "IfRevision asks only whether the key exists", cases("kv/txn-stale", "kv/txn-recreated"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		conditions := append([]driver.Condition(nil), t.Conditions...)
		for i, c := range conditions {
			if now := get(s, c.Key); c.Revision != "" && now.Err == nil {
				conditions[i].Revision = now.Revision
			}
		}
		t.Conditions = conditions
		return s.Txn(ctx, t)
	}),
	txnMutant("txn-partial", "the first write of a Txn that ends with a Conflict stays", cases("kv/txn-stale", "kv/txn-exists", "kv/txn-missing", "kv/txn-deleted", "kv/txn-events"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		rev, err := s.Txn(ctx, t)
		if err != nil && ctx.Err() == nil {
			one(s, t.Writes[0])
		}
		return rev, err
	}),
	txnMutant("txn-deletes-dropped", "the deletes of a Txn are dropped", cases("kv/txn-applies", "kv/txn-blind"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		var puts []driver.Op
		for _, op := range t.Writes {
			if op.Kind == driver.OpPut {
				puts = append(puts, op)
			}
		}
		t.Writes = puts
		return s.Txn(ctx, t)
	}),
	txnMutant("txn-blind-refused", "a Txn without a condition is refused", cases("kv/txn-blind"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		if len(t.Conditions) == 0 {
			return "", conflict()
		}
		return s.Txn(ctx, t)
	}),
	txnMutant("txn-128", "a Txn of more than 128 operations, which the limit allows, is refused", cases("kv/txn-max"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		if len(t.Conditions)+len(t.Writes) > 128 {
			return "", fairlead.Errorf(fairlead.TooLarge, "too many operations")
		}
		return s.Txn(ctx, t)
	}),
	txnMutant("txn-ttl-dropped", "a time to live in a Txn is dropped", cases("kv/ttl-txn"), func(ctx context.Context, s driver.Store, t driver.Txn) (driver.Revision, error) {
		writes := append([]driver.Op(nil), t.Writes...)
		for i := range writes {
			writes[i].TTL = 0
		}
		t.Writes = writes
		return s.Txn(ctx, t)
	}),
	kvMutant("txn-in-steps", "the writes of a Txn are applied one after the other", cases("kv/txn-applies", "kv/txn-revisions", "kv/txn-seen-whole", "kv/txn-read-in-turn", "kv/txn-events", "kv/snapshot-concurrent", "kv/watch-txn", "kv/watch-txn-after"), inSteps),
	kvDrift("txn-over-max", "a Txn over the published limit is applied", cases("kv/txn-refused"), func(f *fairlead.FacetDescription) { f.Limits.MaxTxnOps = 10 }),
}

// inSteps applies the writes of a Txn with time between them.
func inSteps(s driver.Store) store {
	var mu sync.Mutex
	return store{txn: func(ctx context.Context, t driver.Txn) (rev driver.Revision, err error) {
		mu.Lock()
		defer mu.Unlock()
		for i, op := range t.Writes {
			step := driver.Txn{Writes: []driver.Op{op}}
			if i == 0 {
				step.Conditions = t.Conditions
			} else {
				time.Sleep(300 * time.Microsecond)
			}
			if rev, err = s.Txn(ctx, step); err != nil {
				return "", err
			}
		}
		return rev, nil
	}}
}
