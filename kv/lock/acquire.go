package lock

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// abandonTime bounds how long a call that failed tries to leave nothing behind.
const abandonTime = time.Second

var errHeld = fairlead.Errorf(fairlead.Conflict, "the lock is held by another lease")

// attempt is one caller's way to a lease. It may try several times, always with
// the same owner, so that it knows what it has written without having heard so.
type attempt struct {
	place
	owner  string
	value  []byte
	traces bool // the holder's key may be this attempt's
}

func (p place) newAttempt(value []byte) *attempt {
	return &attempt{place: p, owner: rand.Text(), value: value}
}

func (p place) try(ctx context.Context) (*Lease, error) {
	a := p.newAttempt(nil)
	l, err := a.once(ctx)
	if err != nil {
		a.abandon(ctx)
	}
	return l, err
}

// wait tries until it has a lease.
func (p place) wait(ctx context.Context, value []byte) (*Lease, error) {
	a := p.newAttempt(value)
	b := p.newBell()
	defer b.close()
	for {
		l, err := a.once(ctx)
		if err == nil {
			return l, nil
		}
		if passes(err) && ctx.Err() == nil {
			err = a.untilFree(ctx, b)
		}
		if err != nil {
			a.abandon(ctx)
			return nil, err
		}
	}
}

// passes says whether a failure to lock is worth another try.
func passes(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Conflict, fairlead.Unavailable, fairlead.UnknownOutcome, fairlead.DeadlineExceeded, fairlead.Canceled:
		return true
	}
	return false
}

// untilFree waits until nobody but this attempt has the lock.
func (a *attempt) untilFree(ctx context.Context, b *bell) error {
	for {
		b.prepare(ctx) // before looking, so that no change falls in between
		_, r, held, err := a.holder(ctx)
		switch {
		case ctx.Err() != nil:
			return ended(ctx, err)
		case err == nil && (!held || r.Owner == a.owner):
			return nil
		case err != nil && !passes(err):
			return err
		}
		if err := b.wait(ctx); err != nil {
			return err
		}
	}
}

// ended is the error of a call whose context has ended, with what it met last.
func ended(ctx context.Context, last error) error {
	if last == nil || fairlead.CodeOf(last) == fairlead.CodeOf(ctx.Err()) {
		return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up: %w", ctx.Err())
	}
	return fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "gave up: %w; before that: %v", ctx.Err(), last)
}

// once tries to get a lease. It takes no longer than one lasts: what was created
// first would be gone.
func (a *attempt) once(ctx context.Context) (*Lease, error) {
	call, cancel := context.WithTimeout(ctx, a.ttl)
	defer cancel()
	l, err := a.steps(call)
	if err != nil && call.Err() != nil && ctx.Err() == nil {
		err = fairlead.Errorf(fairlead.Unavailable, "locking took longer than the TTL of %v: %w", a.ttl, err)
	}
	return l, err
}

func (a *attempt) steps(ctx context.Context) (*Lease, error) {
	rev, err := a.create(ctx)
	if err != nil {
		return nil, err
	}
	token, tokenRev, err := a.count(ctx)
	if err != nil {
		return nil, err
	}
	return a.complete(ctx, rev, token, tokenRev)
}

// create makes the holder's key, or finds that it has made it before.
func (a *attempt) create(ctx context.Context) (kv.Revision, error) {
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
	e, r, held, readErr := a.holder(ctx)
	switch {
	case readErr != nil:
		return "", readErr
	case held && r.Owner == a.owner:
		return e.Revision, nil
	}
	return "", err
}

// count counts the token up while the holder's key is there. One that it does
// not hear of is left out.
func (p place) count(ctx context.Context) (token uint64, rev kv.Revision, err error) {
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
				continue // somebody else was there in between, or perhaps this call
			}
		}
		return token, rev, err
	}
}

// complete writes the token into the holder's key, by which it learns whether
// that was this attempt's all the time.
func (a *attempt) complete(ctx context.Context, rev kv.Revision, token uint64, tokenRev kv.Revision) (*Lease, error) {
	l := newLease(a.place, record{Owner: a.owner, Token: token, Value: a.value}, rev, tokenRev)
	began := time.Now()
	if err := l.write(ctx); err != nil {
		l.end(nil)
		return nil, err
	}
	l.start(began)
	return l, nil
}

// abandon removes what a failed attempt may have left, as far as that is
// possible soon: else it ends by itself.
func (a *attempt) abandon(ctx context.Context) {
	if !a.traces {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	if e, r, held, err := a.holder(ctx); err == nil && held && r.Owner == a.owner {
		_ = a.store.DeleteIf(ctx, e.Key, e.Revision)
	}
}
