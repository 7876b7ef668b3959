package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// feedKey names a group.
type feedKey struct{ topic, group string }

// feeds are the feeds of a provider.
type feeds struct {
	mu     sync.Mutex
	closed bool
	all    map[feedKey]*feed
	ending map[feedKey]chan struct{} // closed when the feed of that key has ended
}

// hold returns the feed of a group with one handle more. Two feeds of one group
// at once would share its messages, so it waits for one that ends.
func (fs *feeds) hold(ctx context.Context, p *provider, c driver.SubscriptionConfig, s seat) (*feed, error) {
	key := feedKey{c.Topic, c.Group}
	for {
		f, ending, err := fs.tryHold(p, key, c, s)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-ending:
		case <-ctx.Done():
			return nil, fairlead.ContextError(ctx)
		}
	}
}

func (fs *feeds) tryHold(p *provider, key feedKey, c driver.SubscriptionConfig, s seat) (*feed, <-chan struct{}, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return nil, nil, errClosed
	}
	if ending := fs.ending[key]; ending != nil {
		return nil, ending, nil
	}
	f := fs.all[key]
	if f == nil {
		f = newFeed(p, c, s)
		if fs.all == nil {
			fs.all, fs.ending = map[feedKey]*feed{}, map[feedKey]chan struct{}{}
		}
		fs.all[key] = f
	}
	f.handles++
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
	return f, nil, nil
}

// drop takes a handle from a feed. The last one ends it, after a while.
func (fs *feeds) drop(f *feed) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.handles--
	if f.handles == 0 && !fs.closed {
		f.linger = time.AfterFunc(lingering, func() { fs.endIdle(f) })
	}
}

// endIdle ends a feed that has had no handle for a while.
func (fs *feeds) endIdle(f *feed) {
	key := feedKey{f.topic, f.group}
	fs.mu.Lock()
	if f.handles > 0 || fs.closed || fs.all[key] != f {
		fs.mu.Unlock()
		return
	}
	delete(fs.all, key)
	ended := make(chan struct{})
	fs.ending[key] = ended
	fs.mu.Unlock()
	f.end()
	fs.mu.Lock()
	delete(fs.ending, key)
	fs.mu.Unlock()
	close(ended)
}

// shut ends all feeds, and waits for them.
func (fs *feeds) shut() {
	fs.mu.Lock()
	fs.closed = true
	all, ending := fs.all, fs.ending
	fs.all, fs.ending = nil, nil
	fs.mu.Unlock()
	var ends sync.WaitGroup
	for _, f := range all {
		ends.Go(func() {
			if f.linger != nil {
				f.linger.Stop()
			}
			f.end()
		})
	}
	ends.Wait()
	for _, ended := range ending {
		<-ended
	}
}
