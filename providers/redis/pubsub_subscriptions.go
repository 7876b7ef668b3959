package redis

import (
	"context"
	"sync"
)

// subscriptions are the open handles of groups: the messages that they hold are
// given back when the provider closes. The zero value is ready for use.
type subscriptions struct {
	mu   sync.Mutex
	open map[*groupSubscription]struct{}
}

func (o *subscriptions) add(s *groupSubscription) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[*groupSubscription]struct{}{}
	}
	o.open[s] = struct{}{}
}

// remove reports whether s was there. The caller that removes it gives its
// messages back.
func (o *subscriptions) remove(s *groupSubscription) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.open[s]
	delete(o.open, s)
	return ok
}

func (o *subscriptions) all() []*groupSubscription {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*groupSubscription
	for s := range o.open {
		all = append(all, s)
	}
	return all
}

// closeAll closes the subscriptions. Messages that cannot be given back because
// the server does not answer are delivered again after their leases.
func (o *subscriptions) closeAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var closing sync.WaitGroup
	for _, s := range o.all() {
		closing.Go(func() {
			if err := s.Close(ctx); err != nil {
				s.p.logger.DebugContext(ctx, "redis: the messages of a subscription could not be given back; they are delivered again after their leases",
					"group", s.config.Group, "error", err)
			}
		})
	}
	closing.Wait()
}
