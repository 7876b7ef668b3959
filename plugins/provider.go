package plugins

import (
	"context"
	"log/slog"
	"sync"

	"fairlead.dev/plugins/internal/remote"
)

// provider is a provider in another process.
type provider struct {
	remote.Provider
	releaseHeld func(context.Context) // what the provider alone holds
	untrack  func()                // may be nil
	closing sync.Once
}

// newProvider opens the first session. It releases when that fails.
func newProvider(ctx context.Context, open func(context.Context) (*remote.Session, error), log *slog.Logger, release func(context.Context)) (*provider, error) {
	p, err := remote.New(ctx, open, log)
	if err != nil {
		release(ctx)
		return nil, err
	}
	return &provider{Provider: p, releaseHeld: release}, nil
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) (err error) {
	p.closing.Do(func() {
		err = p.Provider.Close(ctx)
		p.releaseHeld(ctx)
		if p.untrack != nil {
			p.untrack()
		}
	})
	return err
}
