package config

import "fairlead.dev/config/driver"

// State is everything that a [Source] holds at one time. The receiver of a State
// owns it.
type State struct {
	// Version is opaque and not empty. Two states that have different Values
	// never have the same Version.
	Version string
	Values  map[string]Value // by key; never nil
}

// Value is one setting of a [State]. An empty value is present; a deleted one
// is not.
type Value struct {
	Data []byte
	// Version is the version of this key, for [PutIf] and [DeleteIf]; opaque;
	// empty if the backend has none.
	Version string
}

func newState(s driver.Snapshot) State {
	values := make(map[string]Value, len(s.Values))
	for key, v := range s.Values {
		values[key] = Value{Data: v.Data, Version: v.Version}
	}
	return State{Version: s.Version, Values: values}
}
