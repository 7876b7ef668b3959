package handle

import (
	"regexp"

	"fairlead.dev"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// ValidateName returns an Invalid error unless name may name a store, topic,
// group, service or source. The error calls it by its kind, for example
// "store".
func ValidateName(kind, name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fairlead.Errorf(fairlead.Invalid,
		"the %s name %q is not accepted; use 1 to 128 of A–Z a–z 0–9 . _ -, the first a letter or digit", kind, name)
}
