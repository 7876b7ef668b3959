package nats

import (
	"context"
	"strconv"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// progressEvery is how often a consumer reports to the server that it still holds
// its messages.
const progressEvery = ackWait / 4

// leases are the deliveries that were received and not settled. The server
// gives a message to others when it has not heard of it for ackWait; a lease of
// another length is kept here.
type leases struct {
	mu      sync.Mutex
	last    uint64
	byToken map[string]*lease
	changed chan struct{} // holds one: there may be an earlier end
}

type lease struct {
	reply string
	turn  *turn // nil: the message has no key
	ends  time.Time
	told  time.Time // when the server last heard of it
}

func (l *leases) init() {
	l.byToken, l.changed = map[string]*lease{}, make(chan struct{}, 1)
}

func (l *leases) add(x lease) (token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	token = "l" + strconv.FormatUint(l.last, 36)
	x.told = time.Now()
	l.byToken[token] = &x
	l.wake()
	return token
}

func (l *leases) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// held returns a lease that lasts.
func (l *leases) held(token string) (lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.byToken[token]
	if x == nil {
		if n, err := strconv.ParseUint(token[min(1, len(token)):], 36, 64); err != nil || token[0] != 'l' || n > l.last {
			return lease{}, invalid("%q is not a token of this subscription", brief(token))
		}
		return lease{}, lostLease()
	}
	if now := time.Now(); now.After(x.ends) || now.Sub(x.told) >= ackWait {
		return lease{}, lostLease()
	}
	return *x, nil
}

func lostLease() error {
	return fairlead.Errorf(fairlead.Conflict, "the delivery was settled, or its lease was lost: the message comes, or came, again")
}

func (l *leases) remove(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byToken, token)
}

func (l *leases) extend(token string, ends time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.byToken[token]; x != nil {
		x.ends, x.told = ends, time.Now()
	}
	l.wake()
}

// clear ends all leases.
func (l *leases) clear() (replies []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, x := range l.byToken {
		replies = append(replies, x.reply)
		delete(l.byToken, token)
	}
	return replies
}

// due returns the leases that have ended, the leases that must be reported to the
// server, and when to look again. A zero time means: not before a change.
func (l *leases) due(now time.Time) (ended, progress []string, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for token, x := range l.byToken {
		switch {
		case !now.Before(x.ends):
			if now.Sub(x.told) < ackWait { // otherwise another consumer may have it already
				ended = append(ended, x.reply)
			}
			delete(l.byToken, token)
			continue
		case now.Sub(x.told) >= progressEvery && now.Sub(x.told) < ackWait:
			progress = append(progress, x.reply)
			x.told = now
		}
		sooner(x.ends)
		if t := x.told.Add(progressEvery); t.After(now) {
			sooner(t)
		}
	}
	return ended, progress, next
}

// keepLeases gives back the messages whose lease has ended, and reports the
// other ones to the server, until the subscription is closed.
func (s *subscription) keepLeases() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ended, progress, next := s.leases.due(time.Now())
		for _, reply := range ended {
			s.giveBack(reply)
		}
		for _, reply := range progress {
			_ = s.p.nc.Publish(reply, []byte("+WPI")) // tried again in time
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(time.Until(next), time.Millisecond)
		}
		timer.Reset(wait)
		select {
		case <-s.life.Done():
			return
		case <-timer.C:
		case <-s.leases.changed:
		}
	}
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	if err := s.life.Check(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	caller := ctx
	ctx, cancel := s.p.bound(ctx, s.life)
	defer cancel()
	answers := make(chan answer, len(all))
	var tokens []string
	var turns sync.WaitGroup
	defer func() {
		turns.Wait()
		for i, err := range errs {
			errs[i] = explainCanceled(caller, s.life, err)
		}
	}()
	waits := map[int]bool{}
	for i, st := range all {
		x, err := s.leases.held(st.Token)
		if err == nil && x.turn != nil && st.Kind == driver.Ack {
			turns.Go(func() { errs[i] = s.settleTurn(ctx, st.Token, x) })
			continue
		}
		var token string
		if err == nil {
			token, err = s.settle(x.reply, st, i, answers)
		}
		if errs[i] = err; err == nil {
			tokens, waits[i] = append(tokens, token), true
		}
	}
	defer s.p.calls.abandon(tokens)
	for len(waits) > 0 {
		select {
		case a := <-answers:
			delete(waits, a.index)
			errs[a.index] = s.settled(all[a.index], a)
		case <-ctx.Done():
			for i := range waits {
				errs[i] = fairlead.Errorf(fairlead.UnknownOutcome, "the call ended before the server answered: %w", context.Cause(ctx))
			}
			return errs
		}
	}
	return errs
}

// settle sends a settlement. The server answers all kinds.
func (s *subscription) settle(reply string, st driver.Settlement, index int, answers chan<- answer) (token string, err error) {
	m, err := settlement(reply, st)
	if err != nil {
		return "", err
	}
	token, err = s.p.calls.sendRequest(m, index, answers)
	return token, mapErr(err, false)
}

// settled notes the answer to a settlement.
func (s *subscription) settled(st driver.Settlement, a answer) error {
	if a.err != nil {
		return mapErr(a.err, true)
	}
	if st.Kind != driver.Extend {
		s.leases.remove(st.Token)
		return nil
	}
	d := st.Delay
	if d == 0 {
		d = s.lease
	}
	s.leases.extend(st.Token, time.Now().Add(d))
	return nil
}
