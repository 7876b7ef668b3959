package lock

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
)

var errLost = fairlead.Errorf(fairlead.Conflict, "the lease has ended in the store, or another one is held")

// lostAt returns when to give up a lease that was written by a call which began
// at the given time: before the lease ends in the store.
func (l *Lease) lostAt(began time.Time) time.Time { return began.Add(l.ttl - l.ttl/10) }

// renewUntilEnd renews the lease until it ends.
func (l *Lease) renewUntilEnd() {
	defer close(l.kept)
	pause := time.NewTimer(l.ttl / 3)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-l.life.Done():
			return
		}
		next := l.ttl / 3
		if l.renew(l.life) != nil {
			next = l.ttl / 30 // unless that ended it
		}
		pause.Reset(next)
	}
}

// renew makes the lease last for another TTL, from when the call began. One try
// does not take all the time that is left: the next one may reach another
// server.
func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	if err := l.lockWriting(ctx); err != nil {
		return err
	}
	defer l.unlockWriting()
	return l.renewLocked(ctx)
}

// renewLocked is renew for a caller that holds writing.
func (l *Lease) renewLocked(ctx context.Context) error {
	began := time.Now()
	err := l.writeRecord(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = err
	switch {
	case err == errLost || err != nil && !isTemporary(err):
		l.endLocked(err)
		return err
	case err != nil:
		return err
	case l.life.Err() != nil:
		return errLost // it stays lost: its owner was told
	}
	l.deadline = l.lostAt(began)
	l.timer.Reset(time.Until(l.deadline))
	return nil
}

// writeRecord replaces the record that this lease wrote last. Only a confirmed write
// counts: of an unconfirmed one it is unknown when it was applied.
func (l *Lease) writeRecord(ctx context.Context) error {
	for retries := l.newBackoff(); ; {
		rev, err := l.store.CAS(ctx, l.name+holderSuffix, l.record.encode(), l.rev, kv.WithTTL(l.ttl))
		switch fairlead.CodeOf(err) {
		case 0:
			l.rev = rev
			return nil
		case fairlead.Conflict, fairlead.UnknownOutcome:
		default:
			return err
		}
		if ctx.Err() != nil {
			return err
		}
		mine, readErr := l.readOwnRevision(ctx)
		switch {
		case readErr != nil:
			return readErr
		case !mine:
			return errLost
		case !retries.pause(ctx):
			return err
		}
	}
}

// readOwnRevision reads the holder's key. If the key is this lease's, it takes over its
// revision.
func (l *Lease) readOwnRevision(ctx context.Context) (mine bool, err error) {
	e, r, held, err := l.readHolder(ctx)
	if err != nil || !held || r.Owner != l.record.Owner {
		return false, err
	}
	l.rev = e.Revision
	return true, nil
}

// expire ends a lease whose deadline has passed.
func (l *Lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Until(l.deadline) > 0 {
		return // it was renewed while the timer fired
	}
	why := fairlead.Errorf(fairlead.Unavailable, "the lease could not be renewed in time")
	if l.last != nil {
		why = fairlead.Errorf(fairlead.Unavailable, "the lease could not be renewed in time: %w", l.last)
	}
	l.endLocked(why)
}
