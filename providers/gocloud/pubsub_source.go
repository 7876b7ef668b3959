package gocloud

import (
	"context"
	"runtime"
	"strconv"
	"time"

	"gocloud.dev/pubsub"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

const (
	// closeTimeout bounds the end of a feed.
	closeTimeout = 3 * time.Second
	// drainTimeout is how long a feed is asked for what it has fetched ahead.
	drainTimeout = 50 * time.Millisecond
)

// received is what came from a feed: the message, and what it holds.
type received struct {
	raw     *pubsub.Message
	content driver.Delivery
}

func formatToken(n uint64) string { return strconv.FormatUint(n, 10) }

func parseToken(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// next waits for a message.
func (f *Feed) next(ctx context.Context) (*received, error) {
	var m *pubsub.Message
	err := guard(func() (err error) {
		m, err = f.Receive(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &received{m, decode(m)}, nil
}

// ack acknowledges a message, which its lease allows to be done once.
func (f *Feed) ack(r *received) error {
	if f.Ack != nil {
		// gocloud.dev complains of a message that nobody acknowledged.
		runtime.SetFinalizer(r.raw, nil)
		return guard(func() error { return f.Ack(r.raw) })
	}
	return guard(func() error {
		r.raw.Ack()
		return nil
	})
}

// nack gives a message back to the backend, which some drivers do only when
// the feed is closed, and some when the backend finds it late.
func (f *Feed) nack(r *received) {
	if f.Requeues || !r.raw.Nackable() {
		runtime.SetFinalizer(r.raw, nil)
		return
	}
	_ = guard(func() error {
		r.raw.Nack()
		return nil
	})
}

// closeFeed closes a feed, if there is one, and gives back what was taken
// from it.
func closeFeed(f *Feed, taken []*message) {
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var fetched []*received
	if !f.Requeues {
		fetched = f.drain(ctx)
	}
	for _, m := range taken {
		f.nack(m.received)
	}
	for _, r := range fetched {
		f.nack(r)
	}
	_ = guard(func() error { return f.Shutdown(ctx) })
	if f.Close != nil {
		_ = guard(func() error { return f.Close(ctx) })
	}
}

// drain returns what gocloud.dev fetched ahead. Nothing is given back before
// it returns, since it would only be fetched again.
func (f *Feed) drain(ctx context.Context) (fetched []*received) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for {
		r, err := f.next(ctx)
		if err != nil {
			return fetched
		}
		fetched = append(fetched, r)
	}
}

// open opens the feed if it is not.
func (g *group) open(ctx context.Context) error {
	g.opening.Lock()
	defer g.opening.Unlock()
	g.mu.Lock()
	done, closed := g.feed != nil, g.closed
	g.mu.Unlock()
	if done || closed {
		return nil
	}
	var feed *Feed
	err := guard(func() (err error) {
		feed, err = g.driver.OpenFeed(ctx, g.name.topic, g.name.group)
		return err
	})
	if err != nil {
		return failed(err)
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		closeFeed(feed, nil)
		return closedError()
	}
	g.feed = feed
	g.mu.Unlock()
	return nil
}

// broken says what the failure of an open feed means to a consumer. A
// broadcast has nothing that keeps its messages meanwhile.
func (g *group) broken(err error) error {
	if g.name.group == "" && !g.driver.Local {
		return fairlead.Errorf(fairlead.Compacted, "the broadcast was interrupted; what was published meanwhile is lost: %w", err)
	}
	return fairlead.Errorf(fairlead.Unavailable, "%w", err)
}
