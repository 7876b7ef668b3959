package config

import (
	"unicode/utf8"

	"fairlead.dev"
	"fairlead.dev/config/driver"
)

// Change sets or deletes one key. [Put], [Create], [PutIf], [Delete] and
// [DeleteIf] make one.
type Change struct {
	driver     driver.Change
	hasVersion bool // the change was given a version to check
}

// Put sets a key, whatever its state. Empty and nil data are the same: an
// empty value, which is present. Set does not keep data.
func Put(key string, data []byte) Change {
	return Change{driver: driver.Change{Key: key, Data: data}}
}

// Create sets a key that must not exist. It requires the claim
// [CompareAndSet].
func Create(key string, data []byte) Change {
	return Change{driver: driver.Change{Key: key, Data: data, Checked: true}}
}

// PutIf sets a key whose [Value] must have that version. It requires the claim
// [CompareAndSet].
func PutIf(key string, data []byte, version string) Change {
	return Change{driver.Change{Key: key, Data: data, Checked: true, Version: version}, true}
}

// Delete removes a key. A key that does not exist is no error.
func Delete(key string) Change {
	return Change{driver: driver.Change{Key: key, Delete: true}}
}

// DeleteIf removes a key whose [Value] must have that version. It requires the
// claim [CompareAndSet].
func DeleteIf(key, version string) Change {
	return Change{driver.Change{Key: key, Delete: true, Checked: true, Version: version}, true}
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

// driverChanges validates the changes of a Set against the description of its
// facet, and returns them in the driver's form.
func driverChanges(d fairlead.FacetDescription, changes []Change) ([]driver.Change, error) {
	if len(changes) == 0 {
		return nil, fairlead.Errorf(fairlead.Invalid, "Set got no change; pass at least one")
	}
	if err := fairlead.CheckRequirements(d, []fairlead.Requirement{Write}); err != nil {
		return nil, err
	}
	all, seen := make([]driver.Change, len(changes)), make(map[string]bool, len(changes))
	for i, c := range changes {
		if all[i] = c.driver; seen[all[i].Key] {
			return nil, fairlead.Errorf(fairlead.Invalid, "the key %q is changed twice in one Set; change it once", all[i].Key)
		}
		seen[all[i].Key] = true
		if err := c.check(d); err != nil {
			return nil, err
		}
	}
	return all, checkOperations(d, all)
}

// checkOperations compares the size of an atomic Set with the limit.
func checkOperations(d fairlead.FacetDescription, changes []driver.Change) error {
	ops := len(changes)
	for _, c := range changes {
		if c.Checked {
			ops++
		}
	}
	if limit := d.Limits.MaxTxnOps; d.Has(AtomicSet) && limit > 0 && ops > limit {
		return fairlead.Errorf(fairlead.TooLarge, "the Set needs %d operations (one for each change, one for each check), the limit is %d", ops, limit)
	}
	return nil
}

func (c Change) check(d fairlead.FacetDescription) error {
	key, size, limit := c.driver.Key, len(c.driver.Data), d.Limits.MaxValueBytes
	if err := checkKey(key); err != nil {
		return err
	}
	switch {
	case limit > 0 && size > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the value of key %q has %d bytes, the limit is %d", key, size, limit)
	case c.hasVersion && c.driver.Version == "":
		return fairlead.Errorf(fairlead.Invalid, "the change of key %q has an empty version to check; pass the version of its value, or use Create for a key that must not exist", key)
	case c.driver.Checked:
		return fairlead.CheckRequirements(d, []fairlead.Requirement{CompareAndSet})
	}
	return nil
}
