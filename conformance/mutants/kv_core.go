package mutants

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// kvCoreMutants break operations on one key that every store has.
func kvCoreMutants() []Mutant {
	return append([]Mutant{
		kvMutant("value-truncated", "a value is stored only to its first zero byte", cases("kv/put-get", "kv/binary-value"), func(driver.Store) store {
			return store{in: func(op *driver.Op) { op.Value, _, _ = bytes.Cut(op.Value, []byte{0}) }}
		}),
		kvMutant("value-64k", "a value is stored to its first 65,536 bytes", cases("kv/value-1000000", "kv/value-max", "kv/getmany-large", "kv/list-large", "kv/watch-large"), func(driver.Store) store {
			return store{in: func(op *driver.Op) { op.Value = op.Value[:min(len(op.Value), 1<<16)] }}
		}),
		kvMutant("value-4mb", "a value of more than 4 MiB, which the limit allows, is refused", cases("kv/value-max"), func(s driver.Store) store {
			return store{each: func(op driver.Op) driver.Result {
				if len(op.Value) > 4<<20 {
					return driver.Result{Err: fairlead.Errorf(fairlead.TooLarge, "the value has %d bytes, the limit is %d", len(op.Value), 4<<20)}
				}
				return one(s, op)
			}}
		}),
		kvDrift("value-over-max", "values over the published limit are stored", cases("kv/value-over-max"), func(f *fairlead.FacetDescription) { f.Limits.MaxValueBytes = 1_000_000 }),
		kvMutant("missing-found", "a key that does not exist has an empty value", cases("kv/get-missing", "kv/delete-gone", "kv/empty-value", "kv/getmany", "kv/getmany-none", "kv/getmany-batches"), func(driver.Store) store {
			return store{out: func(op driver.Op, r *driver.Result) {
				if fairlead.CodeOf(r.Err) == fairlead.NotFound {
					*r = driver.Result{Revision: "0"}
				}
			}}
		}),
		kvMutant("first-write-wins", "a put over an existing key is acknowledged and dropped", cases("kv/overwrite", "kv/create-put-over", "kv/read-own-write"), func(s driver.Store) store {
			return store{each: func(op driver.Op) driver.Result {
				if op.Kind == driver.OpPut && exists(s, op.Key) {
					return driver.Result{Revision: get(s, op.Key).Revision}
				}
				return one(s, op)
			}}
		}),
		kvMutant("delete-dropped", "a delete is acknowledged and dropped", cases("kv/delete-gone", "kv/list-deleted", "kv/key-slash"), func(s driver.Store) store {
			return store{each: func(op driver.Op) driver.Result {
				if op.Kind == driver.OpDelete {
					return driver.Result{}
				}
				return one(s, op)
			}}
		}),
		kvMutant("delete-missing-fails", "deleting a missing key is NotFound", cases("kv/delete-missing"), func(s driver.Store) store {
			return store{each: func(op driver.Op) driver.Result {
				if op.Kind == driver.OpDelete && !exists(s, op.Key) {
					return get(s, op.Key)
				}
				return one(s, op)
			}}
		}),
		kvMutant("empty-deletes", "a put of an empty value deletes the key", cases("kv/empty-value"), func(driver.Store) store {
			return store{in: func(op *driver.Op) {
				if op.Kind == driver.OpPut && len(op.Value) == 0 {
					op.Kind = driver.OpDelete
				}
			}}
		}),
		kvMutant("rev-of-read", "every read gives another revision", cases("kv/rev-stable"), func(driver.Store) store {
			reads := 0
			return store{out: func(op driver.Op, r *driver.Result) {
				if reads++; op.Kind == driver.OpGet && r.Err == nil {
					r.Revision += driver.Revision(strings.Repeat("+", reads))
				}
			}}
		}),
		kvMutant("close-empties", "closing a handle empties the store", cases("kv/reopen"), func(s driver.Store) store {
			return store{close: func(ctx context.Context) error {
				page, _ := s.List(ctx, driver.ListRequest{Limit: 1000})
				for _, e := range page.Entries {
					one(s, driver.Op{Kind: driver.OpDelete, Key: e.Key})
				}
				return s.Close(ctx)
			}}
		}),
		{
			Name: "kv-stores-cut", Breaks: "the name of a store ends at its first dot", CaughtBy: cases("kv/stores-isolated", "kv/watch-stores"),
			Open: withHooks(hooks{store: func(_ context.Context, name *string) error {
				*name, _, _ = strings.Cut(*name, ".")
				return nil
			}}),
		},
		kvMutant("alias-put", "the slice that was put is kept", cases("kv/alias-put"), func(driver.Store) store {
			var mu sync.Mutex
			kept := map[string][]byte{}
			return store{out: func(op driver.Op, r *driver.Result) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case op.Kind == driver.OpPut:
					kept[op.Key] = op.Value
				case op.Kind == driver.OpGet && r.Err == nil:
					r.Value = bytes.Clone(kept[op.Key])
				}
			}}
		}),
		kvMutant("alias-get", "all readers of a value get one slice", cases("kv/alias-get"), func(driver.Store) store {
			same := oneSlice()
			return store{out: func(op driver.Op, r *driver.Result) { r.Value = same(op.Key, r.Revision, r.Value) }}
		}),
	}, kvRevisionMutants()...)
}

// oneSlice returns a function that returns the first slice that it was given for a
// state of a key.
func oneSlice() func(key string, rev driver.Revision, value []byte) []byte {
	var mu sync.Mutex
	kept := map[string][]byte{}
	return func(key string, rev driver.Revision, value []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprintf("%q %q", key, rev)
		if _, ok := kept[name]; !ok {
			kept[name] = value
		}
		return kept[name]
	}
}

func kvRevisionMutants() []Mutant {
	return []Mutant{
		kvMutant("rev-of-value", "the revision is made of the value", cases("kv/rev-changes", "kv/rev-never-reused", "kv/cas-aba", "kv/cas-recreated"), func(s driver.Store) store {
			return relabeled(s, func(_ *label, value []byte) string { return fmt.Sprintf("hash-%q", value) })
		}),
		kvMutant("rev-restarts", "the revision counts the writes of a key since it was created", cases("kv/rev-never-reused", "kv/create-new", "kv/cas-recreated", "kv/cas-expired"), func(s driver.Store) store {
			return relabeled(s, func(l *label, _ []byte) string {
				l.writes++
				return fmt.Sprint(l.writes)
			})
		}),
		kvMutant("rev-frozen", "a put over a key keeps its revision", cases("kv/rev-changes", "kv/cas-stale", "kv/cas-aba", "kv/create-put-over", "kv/delete-if-stale"), func(s driver.Store) store {
			return relabeled(s, func(l *label, _ []byte) string { return "frozen" })
		}),
	}
}

// label is the revision that a mutant reports for a key.
type label struct {
	name   string
	writes int
	real   driver.Revision
}

// relabeled replaces the revisions of keys: name makes a label for every write. A
// label that was given several times means the newest state.
func relabeled(s driver.Store, name func(l *label, value []byte) string) store {
	var mu sync.Mutex
	labels := map[string]*label{}
	return store{each: func(op driver.Op) driver.Result {
		mu.Lock()
		defer mu.Unlock()
		l := labels[op.Key]
		if l == nil || !exists(s, op.Key) {
			l = &label{}
			labels[op.Key] = l
		}
		if string(op.Revision) == l.name && l.name != "" {
			op.Revision = l.real
		}
		r := one(s, op)
		switch {
		case r.Err != nil || op.Kind == driver.OpDelete || op.Kind == driver.OpDeleteIf:
			return r
		case op.Kind != driver.OpGet:
			l.name, l.real = name(l, op.Value), r.Revision
		}
		r.Revision = driver.Revision(l.name)
		return r
	}}
}
