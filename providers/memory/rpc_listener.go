package memory

import (
	"context"
	"slices"
	"sync"

	"fairlead.dev"
	"fairlead.dev/providers"
	rpcdriver "fairlead.dev/rpc/driver"
)

// listenerRegistry holds the listeners of one backend. The calls of a service go
// to its listeners in turn.
type listenerRegistry struct {
	mu        sync.Mutex
	byService map[string][]*listener // the listener that is next comes first
}

func newListenerRegistry() *listenerRegistry {
	return &listenerRegistry{byService: map[string][]*listener{}}
}

func (r *listenerRegistry) add(l *listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byService[l.service] = append(r.byService[l.service], l)
}

// takeTurn returns the next listener of a service and moves it to the end. It
// is called with mu locked.
func (r *listenerRegistry) takeTurn(service string) (*listener, error) {
	l, err := r.first(service)
	r.rotate(service)
	return l, err
}

// first returns the next listener of a service. It removes the listeners that
// were closed with their provider. It is called with mu locked.
func (r *listenerRegistry) first(service string) (*listener, error) {
	r.removeClosed(service)
	if open := r.byService[service]; len(open) > 0 {
		return open[0], nil
	}
	return nil, fairlead.Errorf(fairlead.Unavailable, "no server listens for the service %q", service)
}

// removeClosed removes the closed listeners of a service. It is called with mu
// locked.
func (r *listenerRegistry) removeClosed(service string) {
	all := r.byService[service]
	if !slices.ContainsFunc(all, (*listener).isClosed) {
		return
	}
	open := slices.DeleteFunc(all, (*listener).isClosed)
	if r.byService[service] = open; len(open) == 0 {
		delete(r.byService, service)
	}
}

// rotate moves the first listener of a service to the end. It is called with mu
// locked.
func (r *listenerRegistry) rotate(service string) {
	if open := r.byService[service]; len(open) > 1 {
		first := open[0]
		copy(open, open[1:])
		open[len(open)-1] = first
	}
}

// listener is one server of a service.
type listener struct {
	registry *listenerRegistry
	service  string
	provider *providers.Lifetime
	life     *providers.Lifetime
	backlog  *providers.Backlog[rpcdriver.Incoming] // streams that were not accepted yet
}

func newListener(provider *providers.Lifetime, registry *listenerRegistry, service string) *listener {
	life := provider.Child("listener")
	return &listener{registry: registry, service: service, provider: provider, life: life, backlog: providers.NewBacklog[rpcdriver.Incoming](life)}
}

func (l *listener) isClosed() bool { return l.life.Err() != nil }

// enqueue adds a stream to the backlog. The registry is locked.
func (l *listener) enqueue(in rpcdriver.Incoming) {
	in.Stream.(*stream).provider.Store(l.provider)
	if !l.backlog.Add(in) { // the provider has just closed
		_ = in.Stream.Close(context.Background())
	}
}

// Accept implements [rpcdriver.Listener].
func (l *listener) Accept(ctx context.Context) (rpcdriver.Incoming, error) {
	return l.backlog.Take(ctx)
}

// Close implements [rpcdriver.Listener]. Streams that were not accepted go to
// other listeners of the service.
func (l *listener) Close(ctx context.Context) error {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	waiting := l.backlog.End()
	l.registry.removeClosed(l.service)
	for _, in := range waiting {
		if other, err := l.registry.takeTurn(l.service); err == nil {
			other.enqueue(in)
		} else {
			_ = in.Stream.Close(ctx) // the caller gets Unavailable
		}
	}
	return nil
}
