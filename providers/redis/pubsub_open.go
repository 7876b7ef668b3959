package redis

import (
	"context"
	"sync"
)

// subscriptions are those of groups that are open: what they hold is given
// back when the provider closes. The zero value is ready for use.
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

// remove reports whether it was there: whoever removes it gives back.
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

// closeAll closes the subscriptions. What a server that does not answer cannot
// be given back comes again when its lease ends.
func (o *subscriptions) closeAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	var closing sync.WaitGroup
	for _, s := range o.all() {
		closing.Go(func() {
			if err := s.Close(ctx); err != nil {
				s.p.logger.DebugContext(ctx, "redis: giving back messages failed", "group", s.config.Group, "error", err)
			}
		})
	}
	closing.Wait()
}
