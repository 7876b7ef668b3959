package lock

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"fairlead.dev"
)

// try is one try of an acquisition, in a goroutine of its own. It outlives a caller
// that gives up, until the outcomes of its writes are known.
type try struct {
	*acquisition
	caller context.Context
	done   chan struct{} // closed when lease and err are set
	lease  *Lease
	err    error
}

// tryOnce tries to get a lease. It takes no longer than the TTL: after that the
// holder's key that it created would have expired.
//
// If ctx ends, the try goes on without its caller: only so the outcome of a write
// that is under way becomes known. What it gets is given back.
func (a *acquisition) tryOnce(ctx context.Context) (*Lease, error) {
	if ctx.Err() != nil {
		return nil, a.ended(ctx, nil)
	}
	t := &try{acquisition: a, caller: ctx, done: make(chan struct{})}
	go t.run()
	select {
	case <-t.done:
	case <-ctx.Done():
		a.abandoned = true
		t.removeSoon(ctx, t.removeWhenKnown)
		return nil, a.ended(ctx, nil)
	}
	if t.err != nil && !isContextCode(t.err) {
		a.failure = t.err
	}
	return t.lease, t.err
}

func (t *try) run() {
	defer close(t.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.caller), t.ttl)
	defer cancel()
	t.lease, t.err = t.writeKeys(ctx)
	if t.err != nil && ctx.Err() != nil && t.caller.Err() == nil {
		t.err = fairlead.Errorf(fairlead.Unavailable, "locking took longer than the TTL of %v: %w", t.ttl, t.err)
	}
}

// writeKeys makes the writes of a try. Between them it ends if nobody wants the lease
// any more.
func (t *try) writeKeys(ctx context.Context) (*Lease, error) {
	rev, err := t.createHolder(ctx)
	if err == nil {
		err = fairlead.ContextError(t.caller)
	}
	if err != nil {
		return nil, err
	}
	token, tokenRev, err := t.incrementToken(ctx)
	if err == nil {
		err = fairlead.ContextError(t.caller)
	}
	if err != nil {
		return nil, err
	}
	return t.completeLease(ctx, rev, token, tokenRev)
}

// removeWhenKnown removes the holder's key of a try that nobody waits for: as soon as
// the key is there, and until the outcome of the try is known.
func (t *try) removeWhenKnown(ctx context.Context, removed func()) {
	for retries := t.newBackoff(); ; {
		select {
		case <-t.done:
			if t.lease != nil {
				t.lease.end(nil) // it is not renewed any more
			}
			t.remove(ctx, removed)
			return
		default:
		}
		if gone, _ := t.removeOnce(ctx); gone {
			removed()
		}
		if !retries.pauseUntil(ctx, t.done) {
			return // the store is closed
		}
	}
}

// abandon removes the holder's key that a failed acquisition may have left.
func (a *acquisition) abandon(ctx context.Context) {
	if !a.abandoned {
		a.removeSoon(ctx, a.remove)
	}
}

// abandonTime bounds how long a failed call waits for the removal of the key that it
// wrote.
const abandonTime = time.Second

// removeSoon starts a removal, and returns when the key is removed, or after a second.
// The removal goes on, at most until the store is closed.
func (p place) removeSoon(ctx context.Context, remove func(ctx context.Context, removed func())) {
	removed, limit := make(chan struct{}), time.NewTimer(abandonTime)
	defer limit.Stop()
	report := sync.OnceFunc(func() { close(removed) })
	go func() {
		defer report()
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(p.store.Context(), cancel)()
		remove(ctx, report)
	}()
	select {
	case <-removed:
	case <-limit.C:
	}
}

// remove removes the holder's key of an acquisition whose tries have ended. A write
// whose outcome is unknown may create it later: so remove looks again, ever less
// often, until it has removed the key, or for a TTL. What comes later expires.
func (a *acquisition) remove(ctx context.Context, removed func()) {
	if !a.mayHoldKey {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.ttl)
	defer cancel()
	for retries := a.newBackoff(); ; {
		gone, err := a.removeOnce(ctx)
		if gone {
			a.unknown--
			removed()
		}
		if err == nil && a.unknown <= 0 || err != nil && !isTemporary(err) || !retries.pause(ctx) {
			return
		}
	}
}

// removeOnce removes the holder's key if it is this acquisition's. Its error says that
// it could not find out, or could not remove it.
func (a *acquisition) removeOnce(ctx context.Context) (gone bool, err error) {
	e, r, held, err := a.readHolder(ctx)
	if err != nil || !held || r.Owner != a.owner {
		return false, err
	}
	err = a.store.DeleteIf(ctx, e.Key, e.Revision)
	return err == nil, err
}

// backoff pauses between tries: not before the first repetition, and then ever longer.
type backoff struct {
	longest time.Duration
	tries   int
}

func (p place) newBackoff() *backoff { return &backoff{longest: min(p.poll, p.ttl/10)} }

func (b *backoff) reset() { b.tries = 0 }

// pause returns false if the context has ended.
func (b *backoff) pause(ctx context.Context) bool { return b.pauseUntil(ctx, nil) }

// pauseUntil is pause, and ends when done is closed as well.
func (b *backoff) pauseUntil(ctx context.Context, done <-chan struct{}) bool {
	b.tries++
	if b.tries == 1 {
		return ctx.Err() == nil
	}
	d := max(min(time.Millisecond<<min(b.tries, 20), b.longest), time.Millisecond)
	pause := time.NewTimer(d/2 + rand.N(d/2))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-done:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
