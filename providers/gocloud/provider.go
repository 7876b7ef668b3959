package gocloud

import (
	"context"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// provider is one open handle of a backend.
type provider struct {
	*providers.Live
	backend *Backend
	handles *openHandles
	life    *providers.Lifetime
}

func open(ctx context.Context, d Driver, s providers.Settings) (fairlead.Provider, error) {
	var b *Backend
	err := call(ctx, providers.NewLifetime("provider"), func(ctx context.Context) (err error) {
		b, err = d.Open(ctx, s)
		return err
	})
	if err != nil {
		return nil, convertError(err)
	}
	p := &provider{Live: providers.NewLive(describe(b)), backend: b, handles: b.handles, life: providers.NewLifetime("provider")}
	if p.handles == nil {
		p.handles = newOpenHandles(b.PubSub)
	}
	return p, nil
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	p.life.End()
	if p.backend.handles == nil {
		p.handles.close()
	}
	if p.backend.Release != nil {
		return convertError(recoverPanic(func() error { return p.backend.Release(ctx) }))
	}
	return nil
}
