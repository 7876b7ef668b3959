package dapr

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev/internal/await"
)

// news tells those who wait for changes of settings what the component tells. It
// may be late, or miss changes: it is a hint to look.
type news struct {
	wanted chan struct{} // closed when somebody waits first
	once   sync.Once

	mu      sync.Mutex
	waiters map[*waiter]struct{}
}

// waiter waits for changes of keys with a prefix.
type waiter struct {
	prefix  string
	changed chan struct{} // holds a token when there was one
}

func newNews() *news {
	return &news{wanted: make(chan struct{}), waiters: map[*waiter]struct{}{}}
}

// wait enters a waiter, who has to leave.
func (n *news) wait(prefix string) *waiter {
	n.once.Do(func() { close(n.wanted) })
	w := &waiter{prefix: prefix, changed: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiters[w] = struct{}{}
	return w
}

func (n *news) leave(w *waiter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiters, w)
}

// tell wakes those who wait for one of the keys that changed; all, if it is not
// known which did.
func (n *news) tell(r *runtimev1.SubscribeConfigurationResponse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.waiters {
		if w.concerns(r) {
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}

func (w *waiter) concerns(r *runtimev1.SubscribeConfigurationResponse) bool {
	for key := range r.GetItems() {
		if strings.HasPrefix(key, w.prefix) {
			return true
		}
	}
	return len(r.GetItems()) == 0
}

// subscribeAgainAfter is the pause before a subscription that has ended is made
// again. Who waits polls meanwhile.
const subscribeAgainAfter = time.Second

// listen subscribes to all changes of settings, from when somebody waits first
// until the provider is closed.
func (p *provider) listen() {
	select {
	case <-p.news.wanted:
	case <-p.life.Done():
		return
	}
	for {
		err := p.subscribeConfig(p.life)
		p.logger.Debug("dapr: the subscription to settings has ended", slog.Any("error", err))
		if !await.Pause(p.life, subscribeAgainAfter) {
			return
		}
	}
}

// subscribeConfig passes on what one subscription tells, until that ends. The
// first message, without keys, says that it has begun.
func (p *provider) subscribeConfig(ctx context.Context) error {
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
		p.news.tell(r)
	}
}
