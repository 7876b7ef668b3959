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
	releaseHeld func(context.Context) // releases the connection or the supervisor
	untrack     func()                // removes it from its host; may be nil
	closing     sync.Once
}

// newProvider opens the first session. It calls releaseHeld if that fails.
func newProvider(ctx context.Context, open func(context.Context) (*remote.Session, error), log *slog.Logger, releaseHeld func(context.Context)) (*provider, error) {
	p, err := remote.New(ctx, open, log)
	if err != nil {
		releaseHeld(ctx)
		return nil, err
	}
	return &provider{Provider: p, releaseHeld: releaseHeld}, nil
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
