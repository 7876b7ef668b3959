package mutants

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	"fairlead.dev/conformance"
)

// configValueMutants store settings wrongly.
var configValueMutants = []Mutant{
	{
		Name: "config-no-version", Breaks: "an empty source has no version", CaughtBy: cases("config/new-name"),
		Open: withState(func(s *configdriver.Snapshot) {
			if len(s.Values) == 0 {
				s.Version = ""
			}
		}),
	},
	{
		Name: "config-key-invented", Breaks: "there is a setting that nobody set", CaughtBy: cases("config/new-name", "config/get-missing"),
		Open: withState(func(s *configdriver.Snapshot) { s.Values["missing"] = configdriver.Value{} }),
	},
	{
		Name: "config-frozen", Breaks: "a handle reads what was there when it read first", CaughtBy: cases("config/set-get", "config/delete"),
		Open: withSource(func(s source) configdriver.Source {
			var first atomic.Pointer[configdriver.Snapshot]
			s.state = func(state *configdriver.Snapshot) {
				first.CompareAndSwap(nil, &configdriver.Snapshot{Version: state.Version, Values: maps.Clone(state.Values)})
				*state = configdriver.Snapshot{Version: first.Load().Version, Values: maps.Clone(first.Load().Values)}
			}
			return s
		}),
	},
	{
		Name: "config-handle-stale", Breaks: "a handle does not see the last Set of another one",
		CaughtBy: cases("config/reopen", "config/load-bad"),
		Open:     staleHandles(),
	},
	{
		Name: "config-set-replaces", Breaks: "a Set deletes the keys that it does not name", CaughtBy: cases("config/set-many"),
		Open: withSource(func(s source) configdriver.Source {
			s.set = func(ctx context.Context, changes []configdriver.Change) (string, error) {
				state, err := s.portable.Snapshot(ctx)
				if err != nil {
					return "", err
				}
				for key := range state.Values {
					if !slices.ContainsFunc(changes, func(c configdriver.Change) bool { return c.Key == key }) {
						changes = append(changes, configdriver.Change{Key: key, Delete: true})
					}
				}
				return s.portable.Set(ctx, changes...)
			}
			return s
		}),
	},
	{
		Name: "config-thousand", Breaks: "a snapshot has a thousand keys at most", CaughtBy: cases("config/many-keys"),
		Open: withState(func(s *configdriver.Snapshot) {
			if keys := slices.Sorted(maps.Keys(s.Values)); len(keys) > 1000 {
				for _, key := range keys[1000:] {
					delete(s.Values, key)
				}
			}
		}),
	},
	{
		Name: "config-text-only", Breaks: "bytes that are not text are replaced", CaughtBy: cases("config/binary"),
		Open: withChanges(func(c *configdriver.Change) { c.Data = bytes.ToValidUTF8(c.Data, []byte("?")) }),
	},
	{
		Name: "config-trimmed", Breaks: "white space around a value is cut off", CaughtBy: cases("config/binary"),
		Open: withChanges(func(c *configdriver.Change) { c.Data = bytes.TrimSpace(c.Data) }),
	},
	{
		Name: "config-empty-deletes", Breaks: "an empty value deletes the key", CaughtBy: cases("config/empty-value", "config/delete-visible", "config/load-empty"),
		Open: withChanges(func(c *configdriver.Change) { c.Delete = c.Delete || len(c.Data) == 0 }),
	},
	{
		Name: "config-deletes-to-empty", Breaks: "a deleted key becomes an empty one", CaughtBy: cases("config/delete", "config/delete-visible", "config/next-delete", "config/watch-typed"),
		Open: withChanges(func(c *configdriver.Change) {
			if c.Delete {
				*c = configdriver.Change{Key: c.Key}
			}
		}),
	},
	{
		Name: "config-truncated", Breaks: "values are cut off at 64 KiB", CaughtBy: cases("config/large-value"),
		Open: withChanges(func(c *configdriver.Change) { c.Data = c.Data[:min(len(c.Data), 64<<10)] }),
	},
	{
		Name: "config-no-limit", Breaks: "a value beyond the limit is taken", CaughtBy: cases("config/over-max"),
		Open: driftingConfig(func(f *fairlead.FacetDescription) { f.Limits.MaxValueBytes = 1000 }),
	},
	{
		Name: "config-slash-folded", Breaks: "a slash in a key becomes a bar", CaughtBy: cases("config/odd-keys", "config/load-layers"),
		Open: withChanges(func(c *configdriver.Change) { c.Key = strings.ReplaceAll(c.Key, "/", "|") }),
	},
	{
		Name: "config-keys-folded", Breaks: "keys are composed to a normal form", CaughtBy: cases("config/odd-keys"),
		Open: withChanges(func(c *configdriver.Change) { c.Key = strings.ReplaceAll(c.Key, "e\u0301", "é") }),
	},
	{
		Name: "config-names-one", Breaks: "all names are one", CaughtBy: cases("config/names-isolated", "config/next-other-name"),
		Open: renamed(func(string) string { return "the-one" }),
	},
	{
		Name: "config-forgets", Breaks: "settings end with the handle", CaughtBy: cases("config/reopen"),
		Open: func() conformance.Opener {
			var opened atomic.Int64
			return renamed(func(string) string { return fmt.Sprintf("of-handle-%d", opened.Add(1)) })
		}(),
	},
	{
		Name: "config-keeps-bytes", Breaks: "the bytes that Set was given are kept", CaughtBy: cases("config/alias-set"),
		Open: withSource(keepsBytes),
	},
	{
		Name: "config-shares-bytes", Breaks: "all states share their bytes", CaughtBy: cases("config/alias-snapshot"),
		Open: withSource(func(s source) configdriver.Source {
			var mu sync.Mutex
			given := map[string][]byte{}
			s.state = func(state *configdriver.Snapshot) {
				mu.Lock()
				defer mu.Unlock()
				for key, v := range state.Values {
					if given[key+v.Version] == nil {
						given[key+v.Version] = v.Data
					}
					v.Data = given[key+v.Version]
					state.Values[key] = v
				}
			}
			return s
		}),
	},
}

// renamed opens memory providers that keep settings under other names.
func renamed(name func(string) string) conformance.Opener {
	return withSource(func(s source) configdriver.Source {
		other, err := s.open(context.Background(), name(s.name))
		if err != nil {
			panic(err) // memory does not fail here
		}
		return other
	})
}

// staleHandles opens memory providers whose handles read the state before the last
// Set, except the handle that made it.
func staleHandles() conformance.Opener {
	var mu sync.Mutex
	before := map[string]configdriver.Snapshot{}
	return withSource(func(s source) configdriver.Source {
		wrote := false
		inner := s
		s.state = func(state *configdriver.Snapshot) {
			mu.Lock()
			defer mu.Unlock()
			if old, ok := before[s.name]; ok && !wrote {
				*state = old
			}
		}
		s.set = func(ctx context.Context, changes []configdriver.Change) (string, error) {
			state, err := inner.portable.Snapshot(ctx)
			if err != nil {
				return "", err
			}
			mu.Lock()
			before[s.name], wrote = state, true
			mu.Unlock()
			return inner.portable.Set(ctx, changes...)
		}
		return s
	})
}

func keepsBytes(s source) configdriver.Source {
	var mu sync.Mutex
	kept := map[string][]byte{}
	s.set = func(ctx context.Context, changes []configdriver.Change) (string, error) {
		mu.Lock()
		for _, c := range changes {
			kept[c.Key] = c.Data
		}
		mu.Unlock()
		return s.portable.Set(ctx, changes...)
	}
	s.state = func(state *configdriver.Snapshot) {
		mu.Lock()
		defer mu.Unlock()
		for key, v := range state.Values {
			v.Data = bytes.Clone(kept[key])
			state.Values[key] = v
		}
	}
	return s
}
