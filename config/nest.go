package config

import "maps"

// nest turns flat keys into nested groups. Two keys that are in each other's
// way become a conflict, which matters only if the struct has such a field.
func nest(flat map[string]any, split func(key string) []string) map[string]any {
	root := map[string]any{}
	for key, v := range flat {
		place(root, split(key), v)
	}
	return root
}

func place(group map[string]any, path []string, v any) {
	name := path[0]
	old, taken := group[name]
	inner, isGroup := old.(map[string]any)
	switch {
	case len(path) > 1 && (isGroup || !taken):
		if !taken {
			inner = map[string]any{}
			group[name] = inner
		}
		place(inner, path[1:], v)
	case isGroup && isMap(v):
		for key, element := range v.(map[string]any) {
			place(inner, []string{key}, element)
		}
	case taken:
		group[name] = conflict{}
	default:
		group[name] = v
	}
}

func isMap(v any) bool { _, ok := v.(map[string]any); return ok }

// unnest is nest for a map whose values may be nested groups already.
func unnest(m map[string]any, split func(string) []string) map[string]any {
	flat := maps.Clone(m)
	for key, v := range flat {
		if inner, ok := v.(map[string]any); ok {
			flat[key] = unnest(inner, split)
		}
	}
	return nest(flat, split)
}
