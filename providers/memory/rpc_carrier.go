package memory

import (
	"context"

	"fairlead.dev/providers"
	rpcdriver "fairlead.dev/rpc/driver"
)

// carrier is the rpc facet of one provider that carries calls itself. Its streams
// and listeners end with the provider's life.
type carrier struct {
	life      *providers.Lifetime
	listeners *listenerRegistry
}

func newCarrier(life *providers.Lifetime, listeners *listenerRegistry) *carrier {
	return &carrier{life: life, listeners: listeners}
}

// Listen implements [rpcdriver.Carrier].
func (c *carrier) Listen(ctx context.Context, cfg rpcdriver.ListenConfig) (rpcdriver.Listener, error) {
	if err := c.life.Check(ctx); err != nil {
		return nil, err
	}
	l := newListener(c.life, c.listeners, cfg.Service)
	c.listeners.add(l)
	return l, nil
}

// OpenStream implements [rpcdriver.Carrier].
func (c *carrier) OpenStream(ctx context.Context, cfg rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
	if err := c.life.Check(ctx); err != nil {
		return nil, err
	}
	c.listeners.mu.Lock()
	defer c.listeners.mu.Unlock()
	l, err := c.listeners.takeTurn(cfg.Service)
	if err != nil {
		return nil, err
	}
	client, server := newStream()
	client.provider.Store(c.life)
	server.inbox = cfg.InitialFrames
	l.enqueue(rpcdriver.Incoming{Call: cfg.Call, Stream: server})
	return client, nil
}

// NextListener implements [rpcdriver.Local].
func (c *carrier) NextListener(ctx context.Context, service string, accepts func(rpcdriver.Listener) bool) (rpcdriver.Listener, error) {
	if err := c.life.Check(ctx); err != nil {
		return nil, err
	}
	c.listeners.mu.Lock()
	defer c.listeners.mu.Unlock()
	l, err := c.listeners.first(service)
	if err != nil || !accepts(l) {
		return nil, err // not l: a nil pointer in an interface is not nil
	}
	c.listeners.rotate(service)
	return l, nil
}

// Life implements [rpcdriver.Local].
func (c *carrier) Life() context.Context { return c.life.Context() }
