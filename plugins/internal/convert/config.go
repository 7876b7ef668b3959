package convert

import (
	"fairlead.dev/config/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// FromSnapshot returns the message for a snapshot.
func FromSnapshot(s driver.Snapshot) *pluginpb.ConfigState {
	state := &pluginpb.ConfigState{Version: []byte(s.Version)}
	for key, v := range s.Values {
		state.Settings = append(state.Settings, &pluginpb.ConfigSetting{Key: []byte(key), Data: v.Data, Version: []byte(v.Version)})
	}
	return state
}

// ToSnapshot returns the snapshot of a message.
func ToSnapshot(s *pluginpb.ConfigState) driver.Snapshot {
	values := make(map[string]driver.Value, len(s.GetSettings()))
	for _, v := range s.GetSettings() {
		values[string(v.Key)] = driver.Value{Data: v.Data, Version: string(v.Version)}
	}
	return driver.Snapshot{Version: string(s.GetVersion()), Values: values}
}

// FromChanges returns the message for changes.
func FromChanges(changes []driver.Change) *pluginpb.ConfigSet {
	return &pluginpb.ConfigSet{Changes: each(changes, func(c driver.Change) *pluginpb.ConfigChange {
		return &pluginpb.ConfigChange{Key: []byte(c.Key), Data: c.Data, Delete: c.Delete, Checked: c.Checked, Version: []byte(c.Version)}
	})}
}

// ToChanges returns the changes of a message.
func ToChanges(s *pluginpb.ConfigSet) []driver.Change {
	return each(s.GetChanges(), func(c *pluginpb.ConfigChange) driver.Change {
		return driver.Change{Key: string(c.Key), Data: c.Data, Delete: c.Delete, Checked: c.Checked, Version: string(c.Version)}
	})
}
