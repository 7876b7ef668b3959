package memory

import (
	"context"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

func init() {
	providers.Register(providers.Scheme{
		Name: "mem",
		Help: "in the memory of this process: mem:// (private) or mem://NAME (shared within the process)",
		Settings: []providers.Setting{
			{Name: "history", Kind: providers.Int, Default: "10000", Min: 1, Max: maxHistory,
				Help: "how many changes of a store, and acknowledged messages of a topic, are kept"},
			{Name: "dedupe-window", Kind: providers.Duration, Default: "2m", Min: int64(time.Millisecond),
				Help: "how long a topic remembers the ids of its messages"},
			{Name: "rpc", Kind: providers.Enum, Default: "carrier", Values: []string{"carrier", "directory"},
				Help: "carrier: calls stay within the process; directory: calls are gRPC over the network of this machine"},
		},
		Open: open,
	})
}

// provider is one open handle of a backend.
type provider struct {
	*providers.Live
	*carrier
	*directory
	backend *backend
	life    *providers.Lifetime
}

func open(_ context.Context, s providers.Settings) (fairlead.Provider, error) {
	if s.URL.User != nil || s.URL.Port() != "" || (s.URL.Path != "" && s.URL.Path != "/") {
		return nil, fairlead.Errorf(fairlead.Invalid, "a memory URL has no user, port or path; use mem:// or mem://NAME")
	}
	b := acquireBackend(s.URL.Host, s.Int("history"), s.Duration("dedupe-window"))
	life := providers.NewLifetime("provider")
	return &provider{
		Live:      providers.NewLive(describe(b, s.String("rpc") == "directory")),
		carrier:   newCarrier(life, b.listeners),
		directory: &directory{life: life, endpoints: b.endpoints},
		backend:   b,
		life:      life,
	}, nil
}

// Close implements [fairlead.Provider].
func (p *provider) Close(context.Context) error {
	if p.Shut() {
		p.life.End()
		releaseBackend(p.backend)
	}
	return nil
}
