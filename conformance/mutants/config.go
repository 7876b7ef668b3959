package mutants

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/config"
	configdriver "fairlead.dev/config/driver"
	"fairlead.dev/conformance"
)

// configProvider is a memory provider with a config facet of its own. The facet
// works as package config's facet over kv does, and can be broken.
type configProvider struct {
	whole
	describe func(*fairlead.FacetDescription)
	wrap     func(source) configdriver.Source
}

// withSource opens memory providers whose settings are wrapped.
func withSource(wrap func(source) configdriver.Source) conformance.Opener {
	return configuredBy(configProvider{wrap: wrap})
}

func configuredBy(c configProvider) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, "mem://")
		if err != nil {
			return nil, err
		}
		own := c
		own.whole = p.(whole)
		return &own, nil
	}
}

func (p *configProvider) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.whole.Describe(ctx)
	if err != nil {
		return d, err
	}
	facet, _ := config.Describe(d)
	if p.describe != nil {
		p.describe(&facet)
	}
	d.Facets = append(d.Facets, facet)
	return d, nil
}

func (p *configProvider) OpenSource(ctx context.Context, c configdriver.SourceConfig) (configdriver.Source, error) {
	s, err := openSource(ctx, p.whole, c.Name)
	if err != nil || p.wrap == nil {
		return s, err
	}
	return p.wrap(s), nil
}

// source makes a driver's source from a portable source. The hooks change its
// arguments and results; a nil one changes nothing.
type source struct {
	portable
	name  string
	open  func(ctx context.Context, name string) (source, error) // of the same provider
	state func(*configdriver.Snapshot)
	set   func(ctx context.Context, changes []configdriver.Change) (string, error)
	next  func(ctx context.Context, version string) (configdriver.Snapshot, error)
}

func openSource(ctx context.Context, p fairlead.Provider, name string) (source, error) {
	s, err := config.Open(ctx, p, name)
	return source{portable: portable{s}, name: name, open: func(ctx context.Context, name string) (source, error) {
		return openSource(ctx, p, name)
	}}, err
}

func (s source) Snapshot(ctx context.Context) (configdriver.Snapshot, error) {
	state, err := s.portable.Snapshot(ctx)
	if err == nil && s.state != nil {
		s.state(&state)
	}
	return state, err
}

func (s source) Next(ctx context.Context, version string) (configdriver.Snapshot, error) {
	if s.next != nil {
		return s.next(ctx, version)
	}
	state, err := s.portable.Next(ctx, version)
	if err == nil && s.state != nil {
		s.state(&state)
	}
	return state, err
}

func (s source) Set(ctx context.Context, changes []configdriver.Change) (string, error) {
	if s.set != nil {
		return s.set(ctx, changes)
	}
	return s.portable.Set(ctx, changes...)
}

// withState opens memory providers that change the settings which they return.
func withState(change func(*configdriver.Snapshot)) conformance.Opener {
	return withSource(func(s source) configdriver.Source { s.state = change; return s })
}

// withChanges opens memory providers that modify the changes which they get.
func withChanges(change func(*configdriver.Change)) conformance.Opener {
	return withSource(func(s source) configdriver.Source {
		s.set = func(ctx context.Context, changes []configdriver.Change) (string, error) {
			own := append([]configdriver.Change(nil), changes...)
			for i := range own {
				change(&own[i])
			}
			return s.portable.Set(ctx, own...)
		}
		return s
	})
}

// withNext opens memory providers whose Next is replaced.
func withNext(next func(s source) func(ctx context.Context, version string) (configdriver.Snapshot, error)) conformance.Opener {
	return withSource(func(s source) configdriver.Source { s.next = next(s); return s })
}

// driftingConfig opens memory providers whose config facet is described
// differently the first time, which is the description that the suite uses.
func driftingConfig(change func(*fairlead.FacetDescription)) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		first := true
		return configuredBy(configProvider{describe: func(f *fairlead.FacetDescription) {
			if first {
				change(f)
			}
			first = false
		}})(ctx)
	}
}
