package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
)

// closeTimeout bounds the release of a watcher after the context of its call has
// ended.
const closeTimeout = time.Second

// view is the state of a store at one revision. One goroutine at a time uses it.
type view struct {
	values   map[string]driver.Value
	version  string
	revision kvdriver.Revision // a watch after it misses nothing
	watcher  kvdriver.Watcher  // nil until watch
}

func newView() *view { return &view{values: map[string]driver.Value{}} }

func (v *view) add(entries []kvdriver.Entry) {
	for _, e := range entries {
		v.values[e.Key] = driver.Value{Data: e.Value, Version: string(e.Revision)}
	}
}

// watch opens the watcher if it is not open.
func (v *view) watch(ctx context.Context, store kvdriver.Store) (err error) {
	if v.watcher == nil {
		v.watcher, err = store.Watch(ctx, kvdriver.WatchRequest{After: v.revision})
	}
	return err
}

// apply applies a batch of events.
func (v *view) apply(events []kvdriver.Event) {
	for _, e := range events {
		if e.Kind == kvdriver.PutEvent {
			v.values[e.Key] = driver.Value{Data: e.Value, Version: string(e.Revision)}
		} else {
			delete(v.values, e.Key)
		}
		v.revision = e.Revision
	}
	v.version = versionOf(v.values)
}

// snapshot returns a copy that the caller may change.
func (v *view) snapshot() driver.Snapshot {
	values := maps.Clone(v.values)
	for key, value := range values {
		value.Data = bytes.Clone(value.Data)
		values[key] = value
	}
	return driver.Snapshot{Version: v.version, Values: values}
}

func (v *view) close(ctx context.Context) {
	if v.watcher == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = v.watcher.Close(ctx) // nothing is lost: a new view begins with a listing
}

// versionOf returns a hash of all keys and their revisions. A key never has the
// same revision twice, so equal versions mean equal values, in every process.
func versionOf(values map[string]driver.Value) string {
	h := sha256.New()
	part := func(s string) {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		part(key)
		part(values[key].Version)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
