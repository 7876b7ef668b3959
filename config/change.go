package config

import (
	"regexp"
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/config/driver"
)

// Change sets or deletes one key. Make one with [Put], [PutIf], [Delete] or
// [DeleteIf].
type Change = driver.Change

// Put sets a key, whatever its state. Empty and nil data are the same: an
// empty value, which is present.
func Put(key string, data []byte) Change { return Change{Key: key, Data: data} }

// PutIf sets a key whose [Value] has that version; an empty version demands
// that the key does not exist. Claimed as [CompareAndSet].
func PutIf(key string, data []byte, version string) Change {
	return Change{Key: key, Data: data, Checked: true, Version: version}
}

// Delete removes a key; a missing one is no error.
func Delete(key string) Change { return Change{Key: key, Delete: true} }

// DeleteIf removes a key whose [Value] has that version, which may not be
// empty. Claimed as [CompareAndSet].
func DeleteIf(key, version string) Change {
	return Change{Key: key, Delete: true, Checked: true, Version: version}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func checkName(name string) error {
	if nameForm.MatchString(name) {
		return nil
	}
	return fairlead.Errorf(fairlead.Invalid,
		"the name %q is not 1 to 128 of the characters A-Z a-z 0-9 . _ - that start with a letter or digit", name)
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fairlead.Errorf(fairlead.Invalid, "the key is empty; a key has 1 to %d bytes", maxKeyBytes)
	case len(key) > maxKeyBytes:
		return fairlead.Errorf(fairlead.TooLarge, "the key has %d bytes, the limit is %d", len(key), maxKeyBytes)
	case !utf8.ValidString(key):
		return fairlead.Errorf(fairlead.Invalid, "the key %q is not valid UTF-8", key)
	}
	return nil
}

// checkChanges validates what Set is given against what the facet claims and
// takes.
func checkChanges(d fairlead.FacetDescription, changes []Change) error {
	if len(changes) == 0 {
		return fairlead.Errorf(fairlead.Invalid, "Set got no change; pass at least one")
	}
	if err := fairlead.CheckAll(d, []fairlead.Requirement{Write}); err != nil {
		return err
	}
	ops, seen := 0, make(map[string]bool, len(changes))
	for _, c := range changes {
		if seen[c.Key] {
			return fairlead.Errorf(fairlead.Invalid, "the key %q is changed twice in one Set; change it once", c.Key)
		}
		seen[c.Key] = true
		if err := checkChange(d, c); err != nil {
			return err
		}
		ops++
		if c.Checked {
			ops++
		}
	}
	if limit := d.Limits.MaxTxnOps; d.Has(AtomicSet) && limit > 0 && ops > limit {
		return fairlead.Errorf(fairlead.TooLarge, "the Set needs %d operations (one for each change, one for each check), the limit is %d", ops, limit)
	}
	return nil
}

func checkChange(d fairlead.FacetDescription, c Change) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	limit := d.Limits.MaxValueBytes
	switch {
	case limit > 0 && len(c.Data) > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the value of key %q has %d bytes, the limit is %d", c.Key, len(c.Data), limit)
	case c.Delete && c.Checked && c.Version == "":
		return fairlead.Errorf(fairlead.Invalid, "a checked deletion of key %q needs the version of its value", c.Key)
	case c.Checked:
		return fairlead.CheckAll(d, []fairlead.Requirement{CompareAndSet})
	}
	return nil
}
