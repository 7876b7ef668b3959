package kv

import "fairlead.dev/kv/driver"

// Revision names one state of one key, for example for [Store.CAS]. It is opaque text:
// compare it for equality only. The empty Revision names no state. See the package
// documentation.
type Revision string

// Entry is a key with its value and revision at one moment. It belongs to the
// receiver, who may change the value.
type Entry struct {
	Key string
	// Value is what was written last; an existing key may have an empty one.
	Value []byte
	// Revision is the one of the last write. It is empty if the key does not exist.
	Revision Revision
}

// Exists reports whether the key exists. It is false only for entries of
// [Store.GetMany], [Store.Update] and [Current]: every other call returns the
// entries of existing keys.
func (e Entry) Exists() bool { return e.Revision != "" }

func entryOf(e driver.Entry) Entry {
	return Entry{Key: e.Key, Value: e.Value, Revision: Revision(e.Revision)}
}
