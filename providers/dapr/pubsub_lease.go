package dapr

import (
	"bytes"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// lease gives a ready event to a handle. The lock is held.
func (g *groupConsumer) lease(s *subscription, e *pendingEvent) driver.Delivery {
	g.tokens++
	token := g.tokens
	e.holder, e.token = s, token
	e.lease = time.AfterFunc(s.deadline, func() { g.expireLease(token) })
	g.leased[token] = e
	d := e.delivery()
	d.Body = bytes.Clone(e.event.GetData())
	d.Token = strconv.FormatUint(token, 10)
	return d
}

// expireLease makes an event ready again when its lease has ended.
func (g *groupConsumer) expireLease(token uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.endLease(token); e != nil {
		g.makeReady(e)
	}
}

// endLease takes an event from its holder. It returns nil if the token has no
// lease. The lock is held.
func (g *groupConsumer) endLease(token uint64) *pendingEvent {
	e := g.leased[token]
	if e == nil {
		return nil
	}
	delete(g.leased, token)
	e.lease.Stop()
	e.holder = nil
	return e
}

// returnLeases makes all events of a handle ready for others.
func (g *groupConsumer) returnLeases(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for token, e := range g.leased {
		if e.holder == s {
			g.makeReady(g.endLease(token))
		}
	}
}

// settle carries out the settlements of a handle.
func (g *groupConsumer) settle(s *subscription, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	answers := map[*eventStream][]string{}
	g.mu.Lock()
	for i, one := range all {
		e, err := g.settleOne(s, one)
		if errs[i] = err; e != nil && e.stream != nil {
			answers[e.stream] = append(answers[e.stream], e.id)
		}
	}
	g.mu.Unlock()
	for stream, ids := range answers {
		stream.answer(ids...)
	}
	return errs
}

// settleOne returns the event if it is to be answered. The lock is held.
func (g *groupConsumer) settleOne(s *subscription, one driver.Settlement) (*pendingEvent, error) {
	token, err := strconv.ParseUint(one.Token, 10, 64)
	if err != nil {
		return nil, invalid("%.40q is not the token of a delivery; pass Delivery.Token unchanged", one.Token)
	}
	if e := g.leased[token]; e == nil || e.holder != s {
		return nil, fairlead.Errorf(fairlead.Conflict, "the delivery is already settled, or its lease was lost")
	}
	switch one.Kind {
	case driver.Ack:
		return g.acknowledge(g.endLease(token)), nil
	case driver.Nack:
		g.makeReady(g.endLease(token))
		return nil, nil
	default:
		return nil, fairlead.Errorf(fairlead.Unsupported, "a settlement of the kind %d is not supported; Dapr cannot extend a lease", one.Kind)
	}
}

// maxSettled is how many acknowledged events a consumer remembers: the runtime
// may consider one lost and deliver it again.
const maxSettled = 8192

// acknowledge returns the event if it can be answered now. Otherwise the runtime
// delivers it again, and it is acknowledged then. The lock is held.
func (g *groupConsumer) acknowledge(e *pendingEvent) *pendingEvent {
	e.settled, e.arrived = true, time.Now()
	e.event = nil // the body is not needed any more
	if e.stream == nil || e.renewing {
		return nil
	}
	g.rememberAnswered(e)
	return e
}

// rememberAnswered notes that an event was answered. The lock is held.
func (g *groupConsumer) rememberAnswered(e *pendingEvent) {
	e.answered = true
	if g.recent = append(g.recent, e.uid); len(g.recent) > maxSettled {
		if old := g.pending[g.recent[0]]; old != nil && old.answered {
			delete(g.pending, g.recent[0])
		}
		g.recent = g.recent[1:]
	}
}
