package mutants

import (
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// ttlMutant changes the times to live of writes.
func ttlMutant(name, breaks string, caughtBy []string, change func(time.Duration) time.Duration) Mutant {
	return kvMutant(name, breaks, caughtBy, func(driver.Store) store {
		return store{in: func(op *driver.Op) {
			if op.TTL > 0 {
				op.TTL = change(op.TTL)
			}
		}}
	})
}

var kvTTLMutants = []Mutant{
	ttlMutant("ttl-ignored", "times to live are ignored", cases("kv/ttl-expires", "kv/ttl-least", "kv/ttl-create", "kv/ttl-cas", "kv/ttl-txn", "kv/ttl-getmany", "kv/ttl-list", "kv/ttl-many", "kv/ttl-other-keys", "kv/watch-expiry", "kv/expiry-events"), func(time.Duration) time.Duration { return 0 }),
	ttlMutant("ttl-early", "times to live end at an eighth", cases("kv/ttl-expires", "kv/ttl-rounded-up", "kv/ttl-create", "kv/ttl-many", "kv/watch-expiry"), func(d time.Duration) time.Duration { return d / 8 }),
	ttlMutant("ttl-whole-seconds", "times to live of more than a second are cut to whole ones", cases("kv/ttl-rounded-up"), func(d time.Duration) time.Duration {
		if d < time.Second {
			return d
		}
		return d.Truncate(time.Second)
	}),
	ttlMutant("ttl-late", "times to live end four seconds late", cases("kv/ttl-expires", "kv/ttl-least"), func(d time.Duration) time.Duration { return d + 4*time.Second }),
	kvMutant("ttl-least", "times to live of less than a second, which the limits allow, are refused", cases("kv/ttl-least"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if op.TTL > 0 && op.TTL < time.Second {
				return driver.Result{Err: fairlead.Errorf(fairlead.Invalid, "too short")}
			}
			return one(s, op)
		}}
	}),
	kvDrift("ttl-below-least", "a time to live below the published least is accepted", cases("kv/ttl-refused"), func(f *fairlead.FacetDescription) { f.Limits.MinTTL = 100 * time.Millisecond }),
	kvMutant("ttl-carried-over", "a write has the time to live of the one before", cases("kv/ttl-other-keys", "kv/ttl-overwrite-clears", "kv/ttl-recreated"), func(driver.Store) store {
		var last time.Duration
		return store{in: func(op *driver.Op) {
			if op.Kind == driver.OpGet {
				return
			}
			if op.TTL == 0 {
				op.TTL = last
			}
			last = op.TTL
		}}
	}),
	kvMutant("ttl-survives", "the end of a key's time to live stays when it is overwritten", cases("kv/ttl-overwrite-clears", "kv/ttl-replaced", "kv/ttl-cas", "kv/ttl-txn"), survivingTTL),
	kvMutant("ttl-timer", "what is at a key when an earlier time to live has passed is deleted", cases("kv/ttl-overwrite-clears", "kv/ttl-replaced", "kv/ttl-recreated", "kv/ttl-cas", "kv/expiry-events"), func(s driver.Store) store {
		var ends sync.Map // by key
		return store{in: func(op *driver.Op) {
			key := op.Key
			drop := func() { one(s, driver.Op{Kind: driver.OpDelete, Key: key}) }
			if op.TTL > 0 {
				// Early, because timers are late on a busy machine.
				time.AfterFunc(op.TTL/2, drop)
				ends.Store(key, time.Now().Add(op.TTL/2))
				op.TTL = 0
			}
			// A reader sees it, too, if the key was overwritten after that time.
			if end, ok := ends.Load(key); ok && op.Kind == driver.OpGet && time.Now().After(end.(time.Time)) {
				ends.Delete(key)
				drop()
			}
		}}
	}),
	kvMutant("ttl-conflict-clears", "a Create that ends with a Conflict clears the key's time to live", cases("kv/ttl-conflict"), func(s driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			r := one(s, op)
			if op.Kind == driver.OpCreate && r.Err != nil {
				one(s, driver.Op{Kind: driver.OpPut, Key: op.Key, Value: get(s, op.Key).Value})
			}
			return r
		}}
	}),
}

// survivingTTL keeps the end of the first time to live that a key was given, for as
// long as the key exists.
func survivingTTL(s driver.Store) store {
	var mu sync.Mutex
	ends := map[string]time.Time{}
	return store{in: func(op *driver.Op) {
		mu.Lock()
		defer mu.Unlock()
		end, ok := ends[op.Key]
		switch {
		case op.Kind == driver.OpGet:
		case ok && exists(s, op.Key):
			op.TTL = max(time.Until(end), 1)
		case op.TTL > 0:
			ends[op.Key] = time.Now().Add(op.TTL)
		}
	}}
}
