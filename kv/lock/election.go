package lock

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"

	"fairlead.dev"
	"fairlead.dev/kv"
)

// Election chooses one leader among programs. The leader shows a value to the
// others, for example its address.
type Election struct{ place }

// NewElection returns the election of that name in a store; see [New].
func NewElection(store *kv.Store, name string, opts ...Option) (*Election, error) {
	p, err := newPlace(store, name, opts)
	if err != nil {
		return nil, fairlead.Annotate(err, "lock.NewElection", "")
	}
	return &Election{p}, nil
}

// Leader is what an election shows of its leader.
type Leader struct {
	// Value is what the leader passed to [Election.Campaign] or [Election.Run], or to
	// [Lease.Proclaim] since.
	Value []byte
	// Token is the fencing token of the leader's lease: a new leader has a greater
	// one. It is 0 if there is no leader.
	Token uint64
}

// Run waits until there is no leader, and calls lead as the leader, with a
// value that others can see. lead's context ends when the leadership is lost
// and when ctx ends. When lead returns, Run gives the leadership back.
//
// Run returns lead's result, with one exception: if the leadership was lost, and
// lead returned nil or the error of its context, Run waits to become the leader
// again. lead is therefore called once for each leadership, one call at a time.
//
// Errors: the errors of lead, unchanged; the errors of [Election.Campaign] while
// it waits.
func (e *Election) Run(ctx context.Context, value []byte, lead func(ctx context.Context, lease *Lease) error) error {
	if lead == nil {
		return fairlead.Annotate(fairlead.Errorf(fairlead.Invalid, "Run needs a function to call as the leader, got nil"), "lock.Run", "")
	}
	for {
		l, err := e.Campaign(ctx, value)
		if err != nil {
			return err
		}
		if lost, err := callLeader(ctx, l, lead); !lost {
			return err
		}
	}
}

// callLeader calls lead during one leadership. lost reports that lead ended
// because the leadership was lost.
func callLeader(ctx context.Context, l *Lease, lead func(context.Context, *Lease) error) (lost bool, err error) {
	defer l.releaseSoon(ctx)
	work, cancel := l.Context(ctx)
	defer cancel()
	err = lead(work, l)
	if ctx.Err() != nil || l.Err() == nil {
		return false, err
	}
	return err == nil || isLoss(err, work, l), err
}

// isLoss reports whether lead returned the loss of its lease: the end of its
// context, or [Lease.Err], of which each call returns a copy.
func isLoss(err error, work context.Context, l *Lease) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(work)) || err.Error() == l.Err().Error()
}

// releaseSoon gives a lease back as far as that is possible soon. Otherwise the
// lease ends by itself.
func (l *Lease) releaseSoon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	_ = l.release(ctx)
}

// Campaign waits until there is no leader, and leads until [Lease.Release],
// with a value that others can see. It continues through failures of the
// backend that pass.
//
// Errors: as [Mutex.Lock]; TooLarge for a value beyond about three quarters of
// the store's limit.
func (e *Election) Campaign(ctx context.Context, value []byte) (*Lease, error) {
	l, err := e.acquire(ctx, bytes.Clone(value))
	return l, fairlead.Annotate(err, "lock.Campaign", "")
}

// Leader returns the present leader, and NotFound if there is none. The
// leadership may have ended when Leader returns.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	leader, err := e.readLeader(ctx)
	if err == nil && leader.Token == 0 {
		err = fairlead.Errorf(fairlead.NotFound, "there is no leader")
	}
	return leader, fairlead.Annotate(err, "lock.Leader", "")
}

func (p place) readLeader(ctx context.Context) (Leader, error) {
	_, r, held, err := p.readHolder(ctx)
	if err != nil || !held || r.Token == 0 {
		return Leader{}, err
	}
	return Leader{Value: r.Value, Token: r.Token}, nil
}

// Observe yields the present leader, and then every change, with Token 0 while
// there is no leader. Of changes in quick succession it may leave out all but
// the last. It continues through failures that pass, until the context ends or
// the store is closed. It yields the error that ended it last.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		watch := e.newHolderWatch()
		defer watch.close()
		shown := Leader{Token: math.MaxUint64} // no lease has this token
		for {
			watch.prepare(ctx)
			leader, err := e.readLeader(ctx)
			if err == nil && leader.differs(shown) {
				if shown = leader; !yield(leader, nil) {
					return
				}
			}
			if err == nil || isTemporary(err) {
				err = watch.wait(ctx)
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

// Proclaim changes the value that [Election.Leader] and [Election.Observe]
// show. After a failure the value may still change later, with the next
// renewal.
//
// Errors: Conflict if the lease was lost or released; the errors of the store.
func (l *Lease) Proclaim(ctx context.Context, value []byte) error {
	return fairlead.Annotate(l.proclaim(ctx, value), "lock.Proclaim", "")
}

func (l *Lease) proclaim(ctx context.Context, value []byte) error {
	if err := l.lockWriting(ctx); err != nil {
		return err
	}
	defer l.unlockWriting()
	if l.life.Err() != nil {
		return errLost
	}
	record := l.record
	record.Value = bytes.Clone(value)
	if err := l.checkSize(record); err != nil {
		return err // the lease continues with the value before
	}
	l.record = record
	return l.renewLocked(ctx)
}

// checkSize returns TooLarge for a record that the store cannot hold.
func (l *Lease) checkSize(r record) error {
	limit, size := l.store.Describe().Limits.MaxValueBytes, len(r.encode())
	if limit > 0 && size > limit {
		return fairlead.Errorf(fairlead.TooLarge, "the value of the leader has %d bytes, %d with its record; the store's limit is %d", len(r.Value), size, limit)
	}
	return nil
}
