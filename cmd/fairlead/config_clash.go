package main

import (
	"maps"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/config"
)

// checkClashes refuses changes after which a reader with a struct would refuse the
// settings: two keys have the same parts, or one is a group of the other.
func checkClashes(changes []change, before config.State) error {
	exists := map[string]bool{}
	for key := range before.Values {
		exists[key] = true
	}
	for _, c := range changes {
		exists[c.key] = !c.delete
	}
	for _, c := range changes {
		for _, other := range slices.Sorted(maps.Keys(exists)) {
			if c.delete || other == c.key || !exists[other] || !clash(c.key, other) {
				continue
			}
			return fairlead.Errorf(fairlead.Invalid,
				"the keys %q and %q exclude each other for programs that read them (\".\" and \"/\" both separate the parts of a key, and a key is a value or a group); use one of them, and remove an existing one with --delete %s", c.key, other, other)
		}
	}
	return nil
}

// clash reports whether two keys have the same parts, or whether the parts of one
// key are the first parts of the other.
func clash(a, b string) bool {
	path := func(key string) string { return strings.ReplaceAll(key, "/", ".") + "." }
	return strings.HasPrefix(path(a), path(b)) || strings.HasPrefix(path(b), path(a))
}
