package lock

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
)

var errHeld = fairlead.Errorf(fairlead.Conflict, "the lock is held by another lease")

// acquisition is one call that wants a lease. It may try several times, always with
// the same owner, so that it recognises a write whose outcome was unknown.
type acquisition struct {
	place
	owner string
	value []byte

	mayHoldKey bool  // the holder's key may be this acquisition's
	unknown    int   // how many of its creations of the key have an unknown outcome
	failure    error // of the last try; nil before the first
	abandoned  bool  // a try goes on without its caller, and cleans up
}

func (p place) newAcquisition(value []byte) *acquisition {
	return &acquisition{place: p, owner: rand.Text(), value: value}
}

func (p place) tryAcquire(ctx context.Context) (*Lease, error) {
	a := p.newAcquisition(nil)
	l, err := a.tryOnce(ctx)
	if err != nil {
		a.abandon(ctx)
	}
	return l, err
}

// acquire tries until it has a lease.
func (p place) acquire(ctx context.Context, value []byte) (*Lease, error) {
	a := p.newAcquisition(value)
	watch := p.newHolderWatch()
	defer watch.close()
	retries := a.newBackoff()
	for {
		l, err := a.tryOnce(ctx)
		if err == nil {
			return l, nil
		}
		if isTemporary(err) && ctx.Err() == nil {
			err = a.waitToTryAgain(ctx, watch, retries)
		}
		if err != nil {
			a.abandon(ctx)
			return nil, err
		}
	}
}

// isTemporary reports whether an error is worth another try.
func isTemporary(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Conflict, fairlead.Unavailable, fairlead.UnknownOutcome, fairlead.DeadlineExceeded, fairlead.Canceled:
		return true
	}
	return false
}

// waitToTryAgain waits until another try may succeed. If the lock looks free at once,
// it pauses all the same, longer with each such try in a row: a backend that
// answers reads and refuses writes must not be asked without a pause.
func (a *acquisition) waitToTryAgain(ctx context.Context, watch *holderWatch, retries *backoff) error {
	waited, err := a.waitUntilFree(ctx, watch)
	switch {
	case err != nil:
		return err
	case waited:
		retries.reset()
	case !retries.pause(ctx):
		return a.ended(ctx, nil)
	}
	return nil
}

// waitUntilFree waits until the lock is free, or held by this acquisition itself.
// waited is false if it was so at the first look.
func (a *acquisition) waitUntilFree(ctx context.Context, watch *holderWatch) (waited bool, err error) {
	for {
		watch.prepare(ctx) // before looking, so that no change falls in between
		_, r, held, err := a.readHolder(ctx)
		switch {
		case ctx.Err() != nil:
			return waited, a.ended(ctx, err)
		case err == nil && (!held || r.Owner == a.owner):
			return waited, nil
		case err != nil && !isTemporary(err):
			return waited, err
		case err != nil:
			a.failure = err
		}
		if err := watch.wait(ctx); err != nil {
			return waited, a.ended(ctx, err)
		}
		waited = true
	}
}

// ended returns the error of an acquisition whose context has ended, with its last
// failure before that.
func (a *acquisition) ended(ctx context.Context, last error) error {
	if last == nil || isContextCode(last) {
		last = a.failure
	}
	return ended(ctx, last)
}

// ended returns the error of a call whose context has ended, with the last error
// before that.
func ended(ctx context.Context, last error) error {
	if last == nil || isContextCode(last) {
		return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up: %w", ctx.Err())
	}
	return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up: %w; before that: %v", ctx.Err(), last)
}

func isContextCode(err error) bool {
	code := fairlead.CodeOf(err)
	return code == fairlead.Canceled || code == fairlead.DeadlineExceeded
}

// createHolder writes the holder's key, or finds that this acquisition wrote it before.
func (a *acquisition) createHolder(ctx context.Context) (kv.Revision, error) {
	rev, err := a.store.Create(ctx, a.name+holderSuffix, record{Owner: a.owner, Value: a.value}.encode(), kv.WithTTL(a.ttl))
	switch fairlead.CodeOf(err) {
	case 0:
		a.mayHoldKey = true
		return rev, nil
	case fairlead.UnknownOutcome:
		a.mayHoldKey = true
		a.unknown++
	case fairlead.Conflict:
		err = errHeld
	default:
		return "", err
	}
	if !a.mayHoldKey {
		return "", err
	}
	e, r, held, readErr := a.readHolder(ctx)
	switch {
	case readErr != nil:
		return "", readErr
	case held && r.Owner == a.owner:
		return e.Revision, nil
	}
	return "", err
}

// incrementToken increments the token while the holder's key exists. A token whose write
// has an unknown outcome is skipped.
func (p place) incrementToken(ctx context.Context) (token uint64, rev kv.Revision, err error) {
	key := p.name + tokenSuffix
	for retries := p.newBackoff(); ; {
		e, err := p.store.Get(ctx, key)
		switch fairlead.CodeOf(err) {
		case 0:
			if token, err = decodeToken(e); err != nil {
				return 0, "", err
			}
			token++
			rev, err = p.store.CAS(ctx, key, strconv.AppendUint(nil, token, 10), e.Revision)
		case fairlead.NotFound:
			token = 1
			rev, err = p.store.Create(ctx, key, []byte("1"))
		}
		switch fairlead.CodeOf(err) {
		case fairlead.Conflict, fairlead.UnknownOutcome:
			if retries.pause(ctx) {
				continue // another writer was faster, or this call was applied
			}
		}
		return token, rev, err
	}
}

// completeLease writes the token into the holder's key. The write fails if the key
// was not this acquisition's all the time.
func (a *acquisition) completeLease(ctx context.Context, rev kv.Revision, token uint64, tokenRev kv.Revision) (*Lease, error) {
	l := newLease(a.place, record{Owner: a.owner, Token: token, Value: a.value}, rev, tokenRev)
	began := time.Now()
	if err := l.writeRecord(ctx); err != nil {
		l.end(nil)
		return nil, err
	}
	l.start(began)
	return l, nil
}
