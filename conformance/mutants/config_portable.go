package mutants

import (
	"context"

	"fairlead.dev/config"
	configdriver "fairlead.dev/config/driver"
)

// portable gives a portable source the methods of a driver's source.
type portable struct{ *config.Source }

func (p portable) Snapshot(ctx context.Context) (configdriver.Snapshot, error) {
	state, err := p.Source.Snapshot(ctx)
	return driverSnapshot(state), err
}

func (p portable) Next(ctx context.Context, version string) (configdriver.Snapshot, error) {
	state, err := p.Source.Next(ctx, version)
	return driverSnapshot(state), err
}

func (p portable) Set(ctx context.Context, changes ...configdriver.Change) (string, error) {
	all := make([]config.Change, len(changes))
	for i, c := range changes {
		all[i] = portableChange(c)
	}
	return p.Source.Set(ctx, all...)
}

func driverSnapshot(state config.State) configdriver.Snapshot {
	values := make(map[string]configdriver.Value, len(state.Values))
	for key, v := range state.Values {
		values[key] = configdriver.Value{Data: v.Data, Version: v.Version}
	}
	return configdriver.Snapshot{Version: state.Version, Values: values}
}

func portableChange(c configdriver.Change) config.Change {
	switch {
	case c.Delete && c.Checked:
		return config.DeleteIf(c.Key, c.Version)
	case c.Delete:
		return config.Delete(c.Key)
	case c.Checked && c.Version == "":
		return config.Create(c.Key, c.Data)
	case c.Checked:
		return config.PutIf(c.Key, c.Data, c.Version)
	}
	return config.Put(c.Key, c.Data)
}
