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
	// closeTimeout bounds the closing of a subscription of gocloud.dev.
	closeTimeout = 3 * time.Second
	// drainTimeout is how long drain waits for messages that were fetched ahead.
	drainTimeout = 50 * time.Millisecond
)

// received is a message with its content.
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
func (f *Subscription) next(ctx context.Context) (*received, error) {
	var m *pubsub.Message
	err := recoverPanic(func() (err error) {
		m, err = f.Receive(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &received{m, decodeMessage(m)}, nil
}

// ack acknowledges a message. The caller makes sure that this happens once.
func (f *Subscription) ack(r *received) error {
	if f.Ack != nil {
		// A finalizer of gocloud.dev reports messages that were not acknowledged.
		runtime.SetFinalizer(r.raw, nil)
		return recoverPanic(func() error { return f.Ack(r.raw) })
	}
	return recoverPanic(func() error {
		r.raw.Ack()
		return nil
	})
}

// nack gives a message back to the backend. With some drivers this happens only
// when the subscription is closed, with some when the backend notices it later.
func (f *Subscription) nack(r *received) {
	if f.Requeues || !r.raw.Nackable() {
		runtime.SetFinalizer(r.raw, nil)
		return
	}
	_ = recoverPanic(func() error {
		r.raw.Nack()
		return nil
	})
}

// closeSubscription closes a subscription, if there is one, and gives the held
// messages back.
func closeSubscription(f *Subscription, taken []*heldMessage) {
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
	_ = recoverPanic(func() error { return f.Shutdown(ctx) })
	if f.Close != nil {
		_ = recoverPanic(func() error { return f.Close(ctx) })
	}
}

// drain returns the messages that gocloud.dev has fetched ahead. It returns
// before any of them is given back, since gocloud.dev would fetch them again.
func (f *Subscription) drain(ctx context.Context) (fetched []*received) {
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

// openSource opens the subscription of gocloud.dev, unless it is open.
func (g *group) openSource(ctx context.Context) error {
	g.opening.Lock()
	defer g.opening.Unlock()
	g.mu.Lock()
	done, closed := g.source != nil, g.closed
	g.mu.Unlock()
	if done || closed {
		return nil
	}
	var source *Subscription
	err := recoverPanic(func() (err error) {
		source, err = g.driver.OpenSubscription(ctx, g.name.topic, g.name.group)
		return err
	})
	if err != nil {
		return convertError(err)
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		closeSubscription(source, nil)
		return errClosed()
	}
	g.source = source
	g.mu.Unlock()
	return nil
}

// convertSourceError returns what the failure of an open subscription means to a
// consumer. For a broadcast, no backend keeps the messages meanwhile.
func (g *group) convertSourceError(err error) error {
	if g.name.group == "" && !g.driver.Local {
		return fairlead.Errorf(fairlead.Compacted, "the broadcast was interrupted; messages that were published meanwhile are lost: %w", err)
	}
	return fairlead.Errorf(fairlead.Unavailable, "%w", err)
}
