package nats

import (
	"context"
	"errors"
	"slices"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// queueGroup is the queue group that the servers of one service share.
const queueGroup = "servers"

// listener is one server of a service.
type listener struct {
	p     *provider
	calls *natsgo.Subscription
	ends  *natsgo.Subscription

	backlog *providers.Backlog[driver.Incoming]
}

// Listen implements the rpc driver's Carrier.
func (p *provider) Listen(ctx context.Context, cfg driver.ListenConfig) (driver.Listener, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	l := &listener{p: p, backlog: providers.NewBacklog[driver.Incoming](p.life.Child("listener"))}
	err := l.subscribe(ctx, cfg.Service)
	if err == nil {
		err = p.handles.Add(l)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(ctx))
	}
	return l, nil
}

// subscribe returns when the server knows of the subscriptions.
func (l *listener) subscribe(ctx context.Context, service string) (err error) {
	if l.calls, err = l.p.nc.QueueSubscribe(l.p.serviceSubject(service), queueGroup, l.receive); err != nil {
		return mapErr(err, false)
	}
	if l.ends, err = l.p.nc.Subscribe(l.p.cancelSubject(service), l.cancel); err != nil {
		return mapErr(err, false)
	}
	for _, s := range []*natsgo.Subscription{l.calls, l.ends} {
		if err := s.SetPendingLimits(-1, -1); err != nil {
			return mapErr(err, false)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.p.config.requestTimeout)
	defer cancel()
	return mapErr(l.p.nc.FlushWithContext(ctx), false)
}

// receive takes a call.
func (l *listener) receive(m *natsgo.Msg) {
	if m.Reply == "" {
		return // not of this provider
	}
	if k, err := parsePacket(m.Data); err == nil && k.kind == packetBatch {
		l.receiveCalls(m.Reply, k.body)
		return
	}
	l.receiveCall(m.Reply, m.Data)
}

func (l *listener) receiveCall(client string, data []byte) {
	k, err := parsePacket(data)
	if err != nil || k.kind != packetOpen {
		return // not of this provider
	}
	call, first, err := parseOpen(k.body)
	if err != nil {
		return
	}
	s := l.p.streams.newStream()
	s.server, s.peer, s.came, s.inbox = true, client, 1, first
	l.p.streams.add(s)
	if !l.backlog.Add(driver.Incoming{Call: call, Stream: s}) {
		s.refuse()
	}
}

// greet tells the client the address of this end, if it has more to send and
// needs that. A client that has it cannot go to another server any more.
func (s *stream) greet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	halfClosed := slices.ContainsFunc(s.inbox, func(f driver.Frame) bool { return f.Kind == driver.FrameHalfClose })
	if !halfClosed && !s.closed && s.sent == 0 {
		_ = s.packet(packetBeat, nil) // or the next beat does
	}
}

// cancel ends the stream of a client that has not heard of it yet.
func (l *listener) cancel(m *natsgo.Msg) {
	if s := l.p.streams.findByClient(string(m.Data)); s != nil {
		s.fail(errPeerClosed)
	}
}

// Accept implements the rpc driver's Listener.
func (l *listener) Accept(ctx context.Context) (driver.Incoming, error) {
	in, err := l.backlog.Take(ctx)
	if err == nil {
		in.Stream.(*stream).greet()
	}
	return in, err
}

// refuse gives back a call that no program has seen. Its client offers the call to
// other servers, unless it already knows this server's address.
func (s *stream) refuse() {
	s.mu.Lock()
	known := s.sent > 0
	if !known {
		s.closed = true
		_ = s.c.p.nc.Publish(s.peer, appendPacket(nil, packet{kind: packetRefuse})) // or the silence tells it
	}
	s.mu.Unlock()
	if known {
		_ = s.Close(s.c.p.life.Context())
		return
	}
	s.c.remove(s)
}

// Close implements the rpc driver's Listener. Calls that were not accepted, and
// calls that are still on their way here, are refused.
func (l *listener) Close(context.Context) error {
	l.p.handles.Remove(l)
	backlog := l.backlog.End()
	for _, s := range []*natsgo.Subscription{l.calls, l.ends} {
		if s != nil {
			_ = s.Drain() // it may have ended with the connection
		}
	}
	for _, in := range backlog {
		in.Stream.(*stream).refuse()
	}
	return nil
}
