package intercept

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/config/driver"
)

// OpenSource implements [driver.Provider].
func (p provider) OpenSource(ctx context.Context, c driver.SourceConfig) (driver.Source, error) {
	return open(ctx, p, fairlead.Config, Call{Op: "config.OpenSource", Target: c.Name, Input: c},
		func(d driver.Provider) (driver.Source, error) { return d.OpenSource(ctx, c) },
		func(s driver.Source) driver.Source { return source{s, c.Name, p.hooks} })
}

type source struct {
	driver.Source
	name  string
	hooks *Hooks
}

// Snapshot implements [driver.Source].
func (s source) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	return run(ctx, s.hooks, Call{Op: "config.Snapshot", Target: s.name}, func() (driver.Snapshot, error) { return s.Source.Snapshot(ctx) })
}

// Next implements [driver.Source].
func (s source) Next(ctx context.Context, version string) (driver.Snapshot, error) {
	return run(ctx, s.hooks, Call{Op: "config.Next", Target: s.name, Input: version}, func() (driver.Snapshot, error) { return s.Source.Next(ctx, version) })
}

// Set implements [driver.Source].
func (s source) Set(ctx context.Context, changes []driver.Change) (string, error) {
	return run(ctx, s.hooks, Call{Op: "config.Set", Target: s.name, Input: changes}, func() (string, error) { return s.Source.Set(ctx, changes) })
}

// Close implements [driver.Source].
func (s source) Close(ctx context.Context) error {
	return runClose(ctx, s.hooks, Call{Op: "config.Close", Target: s.name}, s.Source.Close)
}
