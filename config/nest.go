package config

import "maps"

// nest turns flat keys into nested groups. If two keys exclude each other, the
// result has a conflict in their place, which is an error only if the struct has
// a field there.
func nest(flat map[string]any, split func(key string) []string) map[string]any {
	root := map[string]any{}
	for key, v := range flat {
		placeValue(root, split(key), v)
	}
	return root
}

func placeValue(group map[string]any, path []string, v any) {
	name := path[0]
	old, taken := group[name]
	inner, isGroup := old.(map[string]any)
	switch {
	case len(path) > 1 && (isGroup || !taken):
		if !taken {
			inner = map[string]any{}
			group[name] = inner
		}
		placeValue(inner, path[1:], v)
	case isGroup && isMap(v):
		for key, element := range v.(map[string]any) {
			placeValue(inner, []string{key}, element)
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
