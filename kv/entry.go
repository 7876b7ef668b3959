package kv

import "fairlead.dev/kv/driver"

// Revision names one state of one key; see the package documentation. The
// empty Revision names no state.
type Revision string

// Entry is a key with its state.
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision // empty if the key does not exist
}

// Exists reports whether the key exists. It is false only for entries of
// [Store.GetMany], [Store.Update] and [Current]: every other call returns the
// entries of existing keys.
func (e Entry) Exists() bool { return e.Revision != "" }

func entryOf(e driver.Entry) Entry {
	return Entry{Key: e.Key, Value: e.Value, Revision: Revision(e.Revision)}
}
