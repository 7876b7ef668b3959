package lock

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// Lease is a lock or a leadership that is held.
type Lease struct {
	place
	token    uint64
	tokenRev kv.Revision
	life     context.Context // ends when the lease does
	stop     context.CancelFunc
	kept     chan struct{} // closed when renewUntilEnd has returned

	writing  chan struct{} // holds one while the holder's key is written; guards the four below
	record   record
	rev      kv.Revision
	deleting bool // a deletion of the holder's key was sent, and its outcome is unknown
	released bool

	mu       sync.Mutex
	deadline time.Time // the lease is lost then
	timer    *time.Timer
	unbind   func() bool // from the store's context
	err      error       // why the lease was lost
	last     error       // of the renewal before
}

func newLease(p place, r record, rev, tokenRev kv.Revision) *Lease {
	l := &Lease{place: p, token: r.Token, tokenRev: tokenRev, record: r, rev: rev,
		kept: make(chan struct{}), writing: make(chan struct{}, 1)}
	l.life, l.stop = context.WithCancel(context.Background())
	return l
}

// start begins to renew a lease that was written by a call which began at the
// given time.
func (l *Lease) start(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = l.lostAt(began)
	l.timer = time.AfterFunc(time.Until(l.deadline), l.expire)
	go l.renewUntilEnd()
	// The store may be closed while a renewal is under way.
	l.unbind = context.AfterFunc(l.store.Context(), func() {
		l.end(fairlead.Errorf(fairlead.Closed, "the store of the lock is closed"))
	})
}

// Token is the fencing token. It is at least 1, and greater than the tokens of all
// earlier leases of this name.
func (l *Lease) Token() uint64 { return l.token }

// Fence is a condition for [kv.Store.Txn] of the lock's store: there is no later
// lease. It counts as one of the operations of the transaction.
func (l *Lease) Fence() kv.TxnPart { return kv.IfRevision(l.name+tokenSuffix, l.tokenRev) }

// Lost is closed when the lease is no longer known to be held: when it was lost,
// when its store is closed, and after Release.
func (l *Lease) Lost() <-chan struct{} { return l.life.Done() }

// Err says why the lease was lost: Conflict if it ended in the store or another
// lease is held, and otherwise the reason why it could not be renewed in time. It
// is nil while the lease is held, and after a Release that came before a loss.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fairlead.Annotate(l.err, "lock.Lease", "")
}

// Context returns a context that ends when parent does and when the lease is
// lost or released; context.Cause then is [Lease.Err] if it was lost.
func (l *Lease) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(l.life, func() { cancel(l.Err()) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Release gives the lock or the leadership back, if it is still this lease's.
// Whatever it returns, the lease has ended for this program and is no longer
// renewed. After a failure it ends in the store within the TTL, or with another
// call of Release.
//
// Errors: Conflict if the lease was lost before; the errors of the store. Calls
// after one that returned nil or Conflict return nil.
func (l *Lease) Release(ctx context.Context) error {
	return fairlead.Annotate(l.release(ctx), "lock.Release", "")
}

func (l *Lease) release(ctx context.Context) error {
	l.end(nil)
	select {
	case <-l.kept: // no renewal writes the holder's key meanwhile
	case <-ctx.Done():
		return ended(ctx, nil)
	}
	if err := l.lockWriting(ctx); err != nil {
		return err
	}
	defer l.unlockWriting()
	if l.released {
		return nil
	}
	if err := l.deleteHolder(ctx); err != nil {
		l.released = errors.Is(err, fairlead.Conflict)
		return err
	}
	l.released = true
	if err := l.Err(); err != nil {
		return fairlead.Errorf(fairlead.Conflict, "the lease was lost before: %w", err)
	}
	return nil
}

// deleteHolder deletes the holder's key if it is this lease's.
func (l *Lease) deleteHolder(ctx context.Context) error {
	for retries := l.newBackoff(); ; {
		err := l.store.DeleteIf(ctx, l.name+holderSuffix, l.rev)
		switch fairlead.CodeOf(err) {
		case fairlead.UnknownOutcome:
			l.deleting = true
		case fairlead.Conflict:
		default:
			return err
		}
		if ctx.Err() != nil {
			return err
		}
		switch mine, readErr := l.readOwnRevision(ctx); {
		case readErr != nil:
			return readErr
		case !mine && l.deleting:
			return nil // this call or one before it deleted it, or it has expired
		case !mine:
			return errLost
		case !retries.pause(ctx):
			return err
		}
	}
}

// end ends the lease for this program. Only the first reason is kept.
func (l *Lease) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(why)
}

func (l *Lease) endLocked(why error) {
	if l.life.Err() != nil {
		return
	}
	l.err = why
	if l.timer != nil {
		l.timer.Stop()
		l.unbind()
	}
	l.stop()
}

func (l *Lease) lockWriting(ctx context.Context) error {
	select {
	case l.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx, nil)
	}
}

func (l *Lease) unlockWriting() { <-l.writing }
