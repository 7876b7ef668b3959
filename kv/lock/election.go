package lock

import (
	"bytes"
	"context"
	"iter"
	"math"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// Election chooses one leader among programs, who has a value to show: an
// address, say.
type Election struct{ place }

// NewElection returns the election of that name in a store; see [New].
func NewElection(store *kv.Store, name string, opts ...Option) (*Election, error) {
	p, err := newPlace(store, name, opts)
	if err != nil {
		return nil, fairlead.Annotate(err, "lock.NewElection", "")
	}
	return &Election{p}, nil
}

// Leader is who leads.
type Leader struct {
	Value []byte
	Token uint64 // of the leader's lease; 0: there is no leader
}

// Leadership is the lease of a leader. Resign is another name of Unlock.
type Leadership struct{ *Lease }

// Campaign waits until nobody leads, and leads until [Leadership.Resign] with a
// value that others can see. It goes on through failures of the backend that
// pass.
//
// Errors: as [Mutex.Lock]; TooLarge for a value beyond about three quarters of
// the store's limit.
func (e *Election) Campaign(ctx context.Context, value []byte) (*Leadership, error) {
	l, err := e.wait(ctx, bytes.Clone(value))
	if err != nil {
		return nil, fairlead.Annotate(err, "lock.Campaign", "")
	}
	return &Leadership{l}, nil
}

// Leader returns who leads, and NotFound if nobody does. What it says may be
// over when it returns.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	leader, err := e.leader(ctx)
	if err == nil && leader.Token == 0 {
		err = fairlead.Errorf(fairlead.NotFound, "nobody leads")
	}
	return leader, fairlead.Annotate(err, "lock.Leader", "")
}

func (p place) leader(ctx context.Context) (Leader, error) {
	_, r, held, err := p.holder(ctx)
	if err != nil || !held || r.Token == 0 {
		return Leader{}, err
	}
	return Leader{Value: r.Value, Token: r.Token}, nil
}

// Observe yields who leads now, and then every change, with Token 0 for nobody.
// Of changes in quick succession it may pass
// over some, never the last. It goes on through failures that pass, until the
// context ends or the store is closed; the error is yielded last.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		b := e.newBell()
		defer b.close()
		shown := Leader{Token: math.MaxUint64} // nobody's
		for {
			b.prepare(ctx)
			leader, err := e.leader(ctx)
			if err == nil && leader.differs(shown) {
				if shown = leader; !yield(leader, nil) {
					return
				}
			}
			if err == nil || passes(err) {
				err = b.wait(ctx)
			}
			if err != nil {
				yield(Leader{}, fairlead.Annotate(err, "lock.Observe", ""))
				return
			}
		}
	}
}

func (l Leader) differs(other Leader) bool {
	return l.Token != other.Token || !bytes.Equal(l.Value, other.Value)
}

// Proclaim shows another value from now on. When it fails, the value may change
// later still, with the next renewal.
//
// Errors: Conflict if the leadership was lost or resigned; those of the store.
func (l *Leadership) Proclaim(ctx context.Context, value []byte) error {
	return fairlead.Annotate(l.proclaim(ctx, value), "lock.Proclaim", "")
}

func (l *Leadership) proclaim(ctx context.Context, value []byte) error {
	if err := l.lockWriting(ctx); err != nil {
		return err
	}
	defer l.unlockWriting()
	if l.life.Err() != nil {
		return errLost
	}
	l.record.Value = bytes.Clone(value)
	return l.renewLocked(ctx)
}

// Resign gives the leadership back, as [Lease.Unlock].
func (l *Leadership) Resign(ctx context.Context) error {
	return fairlead.Annotate(l.unlock(ctx), "lock.Resign", "")
}
