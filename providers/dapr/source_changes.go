package dapr

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev/providers"
)

// configChanges passes the changes that the component reports to the calls that
// wait for them. A report may come late or be missing: it is a hint to read.
type configChanges struct {
	needed chan struct{} // closed when a call waits for the first time
	once   sync.Once

	mu      sync.Mutex
	waiters map[*changeWaiter]struct{}
}

// changeWaiter waits for changes of keys with a prefix.
type changeWaiter struct {
	prefix  string
	changed providers.Trigger
}

func newConfigChanges() *configChanges {
	return &configChanges{needed: make(chan struct{}), waiters: map[*changeWaiter]struct{}{}}
}

// subscribe adds a waiter. The caller has to unsubscribe it.
func (c *configChanges) subscribe(prefix string) *changeWaiter {
	c.once.Do(func() { close(c.needed) })
	w := &changeWaiter{prefix: prefix, changed: providers.NewTrigger()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiters[w] = struct{}{}
	return w
}

func (c *configChanges) unsubscribe(w *changeWaiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiters, w)
}

// notify wakes the waiters of the keys that changed, or all waiters if the
// report names no key.
func (c *configChanges) notify(r *runtimev1.SubscribeConfigurationResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.waiters {
		if w.matches(r) {
			w.changed.Fire()
		}
	}
}

func (w *changeWaiter) matches(r *runtimev1.SubscribeConfigurationResponse) bool {
	for key := range r.GetItems() {
		if strings.HasPrefix(key, w.prefix) {
			return true
		}
	}
	return len(r.GetItems()) == 0
}

// resubscribePause is the pause before a subscription that ended is made again.
// Waiting calls poll meanwhile.
const resubscribePause = time.Second

// followChanges subscribes to all changes of settings, from the first call that
// waits until the provider is closed.
func (p *provider) followChanges() {
	select {
	case <-p.changes.needed:
	case <-p.life.Done():
		return
	}
	for {
		err := p.receiveChanges(p.life.Context())
		p.logger.Debug("dapr: the subscription to settings has ended", slog.Any("error", err))
		if !providers.Pause(p.life.Context(), resubscribePause) {
			return
		}
	}
}

// receiveChanges passes on the changes of one subscription until it ends. The
// first message has no keys; it says that the subscription has begun.
func (p *provider) receiveChanges(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.client.SubscribeConfiguration(ctx, &runtimev1.SubscribeConfigurationRequest{StoreName: p.configComponent()})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		p.changes.notify(r)
	}
}
