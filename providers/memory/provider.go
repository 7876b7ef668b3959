package memory

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

func init() {
	providers.Register(providers.Scheme{
		Name: "mem",
		Help: "in the memory of this process: mem:// (private) or mem://NAME (shared within the process)",
		Settings: []providers.Setting{
			{Name: "history", Kind: providers.Int, Default: "10000", Min: 1,
				Help: "changes of a store and acknowledged messages of a topic that are kept"},
			{Name: "dedupe-window", Kind: providers.Duration, Default: "2m", Min: int64(time.Millisecond),
				Help: "how long a topic remembers the ids of its messages"},
			{Name: "rpc", Kind: providers.Enum, Default: "carrier", Values: []string{"carrier", "directory"},
				Help: "carrier: calls stay within the process; directory: they are gRPC over the network of this machine"},
		},
		Open: open,
	})
}

// backend is what the providers that are opened on one name share.
type backend struct {
	name    string
	opened  int // guarded by backends
	history int
	window  time.Duration

	mu     sync.Mutex
	stores map[string]*table
	topics map[string]*topic
	calls  *exchange
	places *places
}

var backends = struct {
	sync.Mutex
	named map[string]*backend
}{named: map[string]*backend{}}

// provider is one Open of a backend.
type provider struct {
	*providers.Live
	*carrier
	*directory
	backend *backend
	life    lifetime
}

func open(_ context.Context, s providers.Settings) (fairlead.Provider, error) {
	if s.URL.User != nil || s.URL.Port() != "" || (s.URL.Path != "" && s.URL.Path != "/") {
		return nil, fairlead.Errorf(fairlead.Invalid, "a memory URL has no user, port or path; its forms are mem:// and mem://NAME")
	}
	b := acquire(s.URL.Host, s.Int("history"), s.Duration("dedupe-window"))
	life := newLifetime(context.Background())
	return &provider{
		Live:      providers.NewLive(describe(b, s.String("rpc") == "directory")),
		carrier:   newCarrier(life, b.calls),
		directory: &directory{life: life, places: b.places},
		backend:   b,
		life:      life,
	}, nil
}

// acquire returns the backend of that name; the settings of the first Open
// hold.
func acquire(name string, history int, window time.Duration) *backend {
	backends.Lock()
	defer backends.Unlock()
	b := backends.named[name]
	if b == nil || name == "" {
		b = &backend{
			name:    name,
			history: history,
			window:  window,
			stores:  map[string]*table{},
			topics:  map[string]*topic{},
			calls:   newExchange(),
			places:  newPlaces(),
		}
	}
	if name != "" {
		backends.named[name] = b
	}
	b.opened++
	return b
}

func release(b *backend) {
	backends.Lock()
	defer backends.Unlock()
	b.opened--
	if b.opened == 0 {
		delete(backends.named, b.name)
	}
}

// Close implements [fairlead.Provider].
func (p *provider) Close(context.Context) error {
	if p.Shut() {
		p.life.end()
		release(p.backend)
	}
	return nil
}
