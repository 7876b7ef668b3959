package gocloud

import (
	"context"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// provider is one Open of a backend.
type provider struct {
	*providers.Live
	backend *Backend
	hub     *hub
	life    lifetime
}

func open(ctx context.Context, d Driver, s providers.Settings) (fairlead.Provider, error) {
	var b *Backend
	err := newLifetime(context.Background()).call(ctx, func(ctx context.Context) (err error) {
		b, err = d.Open(ctx, s)
		return err
	})
	if err != nil {
		return nil, failed(err)
	}
	p := &provider{Live: providers.NewLive(describe(b)), backend: b, hub: b.hub, life: newLifetime(context.Background())}
	if p.hub == nil {
		p.hub = newHub(b.PubSub)
	}
	return p, nil
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	p.life.end()
	if p.backend.hub == nil {
		p.hub.close()
	}
	if p.backend.Release != nil {
		return failed(guard(func() error { return p.backend.Release(ctx) }))
	}
	return nil
}
