package lock

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/kv"
)

// abandonTime bounds how long a failed call tries to remove the key that it wrote.
const abandonTime = time.Second

var errHeld = fairlead.Errorf(fairlead.Conflict, "the lock is held by another lease")

// attempt is one call that wants a lease. It may try several times, always with
// the same owner, so that it recognises a write whose outcome was unknown.
type attempt struct {
	place
	owner  string
	value  []byte
	traces bool // the holder's key may be this attempt's
}

func (p place) newAttempt(value []byte) *attempt {
	return &attempt{place: p, owner: rand.Text(), value: value}
}

func (p place) tryAcquire(ctx context.Context) (*Lease, error) {
	a := p.newAttempt(nil)
	l, err := a.tryOnce(ctx)
	if err != nil {
		a.abandon(ctx)
	}
	return l, err
}

// acquire tries until it has a lease.
func (p place) acquire(ctx context.Context, value []byte) (*Lease, error) {
	a := p.newAttempt(value)
	b := p.newBell()
	defer b.close()
	for {
		l, err := a.tryOnce(ctx)
		if err == nil {
			return l, nil
		}
		if isTemporary(err) && ctx.Err() == nil {
			err = a.waitToTryAgain(ctx, b, err)
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

// waitToTryAgain waits until another try may succeed. After a failure that is no
// Conflict the lock may be free already, so it pauses first: a backend that
// answers reads and refuses writes must not be asked without a pause.
func (a *attempt) waitToTryAgain(ctx context.Context, b *bell, failure error) error {
	if fairlead.CodeOf(failure) != fairlead.Conflict && !await.Pause(ctx, a.poll/4) {
		return ended(ctx, failure)
	}
	return a.waitUntilFree(ctx, b)
}

// waitUntilFree waits until the lock is free, or held by this attempt itself.
func (a *attempt) waitUntilFree(ctx context.Context, b *bell) error {
	for {
		b.prepare(ctx) // before looking, so that no change falls in between
		_, r, held, err := a.readHolder(ctx)
		switch {
		case ctx.Err() != nil:
			return ended(ctx, err)
		case err == nil && (!held || r.Owner == a.owner):
			return nil
		case err != nil && !isTemporary(err):
			return err
		}
		if err := b.wait(ctx); err != nil {
			return err
		}
	}
}

// ended returns the error of a call whose context has ended, with the last error
// before that.
func ended(ctx context.Context, last error) error {
	if last == nil || fairlead.CodeOf(last) == fairlead.CodeOf(ctx.Err()) {
		return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up: %w", ctx.Err())
	}
	return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up: %w; before that: %v", ctx.Err(), last)
}

// tryOnce tries to get a lease. It takes no longer than the TTL: after that the
// holder's key that it created would have expired.
func (a *attempt) tryOnce(ctx context.Context) (*Lease, error) {
	call, cancel := context.WithTimeout(ctx, a.ttl)
	defer cancel()
	l, err := a.writeKeys(call)
	if err != nil && call.Err() != nil && ctx.Err() == nil {
		err = fairlead.Errorf(fairlead.Unavailable, "locking took longer than the TTL of %v: %w", a.ttl, err)
	}
	return l, err
}

func (a *attempt) writeKeys(ctx context.Context) (*Lease, error) {
	rev, err := a.createHolder(ctx)
	if err != nil {
		return nil, err
	}
	token, tokenRev, err := a.incrementToken(ctx)
	if err != nil {
		return nil, err
	}
	return a.completeLease(ctx, rev, token, tokenRev)
}

// createHolder writes the holder's key, or finds that this attempt wrote it before.
func (a *attempt) createHolder(ctx context.Context) (kv.Revision, error) {
	rev, err := a.store.Create(ctx, a.name+holderSuffix, record{Owner: a.owner, Value: a.value}.encode(), kv.WithTTL(a.ttl))
	switch fairlead.CodeOf(err) {
	case 0:
		a.traces = true
		return rev, nil
	case fairlead.UnknownOutcome:
		a.traces = true
	case fairlead.Conflict:
		err = errHeld
	default:
		return "", err
	}
	if !a.traces {
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
	for {
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
			if ctx.Err() == nil {
				continue // another writer was faster, or this call was applied
			}
		}
		return token, rev, err
	}
}

// completeLease writes the token into the holder's key. The write fails if the key
// was not this attempt's all the time.
func (a *attempt) completeLease(ctx context.Context, rev kv.Revision, token uint64, tokenRev kv.Revision) (*Lease, error) {
	l := newLease(a.place, record{Owner: a.owner, Token: token, Value: a.value}, rev, tokenRev)
	began := time.Now()
	if err := l.writeRecord(ctx); err != nil {
		l.end(nil)
		return nil, err
	}
	l.start(began)
	return l, nil
}

// abandon removes the holder's key that a failed attempt may have left, if that
// is possible soon. Otherwise the key expires.
func (a *attempt) abandon(ctx context.Context) {
	if !a.traces {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	if e, r, held, err := a.readHolder(ctx); err == nil && held && r.Owner == a.owner {
		_ = a.store.DeleteIf(ctx, e.Key, e.Revision)
	}
}
