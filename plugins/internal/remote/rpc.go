package remote

import (
	"context"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

// listener implements the rpc driver's Listener.
type listener struct{ *handle }

// Listen implements the rpc driver's Carrier.
func (p *provider) Listen(ctx context.Context, c driver.ListenConfig) (driver.Listener, error) {
	h, err := newHandle(ctx, p, nil, func(openReason) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_RpcListen{RpcListen: &pluginpb.RPCListen{Service: c.Service}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &listener{h}, nil
}

// Accept implements the rpc driver's Listener.
func (l *listener) Accept(ctx context.Context) (driver.Incoming, error) {
	l.p.awaitSession(ctx)
	at, id, err := l.ensureOpen(ctx)
	if err != nil {
		return driver.Incoming{}, err
	}
	r, err := l.p.callInSession(ctx, at.session, &pluginpb.Call{Handle: id, Body: &pluginpb.Call_RpcAccept{RpcAccept: &pluginpb.RPCAccept{}}},
		false, func(r *pluginpb.Reply) { l.p.closeLate(at.session, r.Handle) })
	if err != nil {
		return driver.Incoming{}, err
	}
	return driver.Incoming{
		Call:   convert.ToCall(r.GetRpcIncoming().GetStart()),
		Stream: &stream{p: l.p, session: at.session, id: r.Handle},
	}, nil
}

// Close implements the rpc driver's Listener.
func (l *listener) Close(ctx context.Context) error { return l.closeHandle(ctx) }

// OpenStream implements the rpc driver's Carrier.
func (p *provider) OpenStream(ctx context.Context, c driver.StreamConfig) (driver.Stream, error) {
	s, _, err := p.currentSession()
	if err != nil {
		return nil, err
	}
	r, err := p.callInSession(ctx, s, &pluginpb.Call{Body: &pluginpb.Call_RpcOpenStream{RpcOpenStream: &pluginpb.RPCOpenStream{
		Service: c.Service, Start: convert.FromCall(c.Call), First: convert.FromFrames(c.InitialFrames),
	}}}, false, func(r *pluginpb.Reply) { p.closeLate(s, r.Handle) })
	if err != nil {
		return nil, err
	}
	return &stream{p: p, session: s, id: r.Handle}, nil
}

// stream implements the rpc driver's Stream. It ends with its session.
type stream struct {
	p       *provider
	session *Session
	id      uint64
	closed  atomic.Bool
}

// callStream makes a call on the stream. It returns the link's own error.
func (s *stream) callStream(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	if s.closed.Load() {
		return nil, fairlead.Errorf(fairlead.Closed, "the stream is closed")
	}
	c.Handle = s.id
	return callLink(ctx, s.session, c, nil)
}

// Send implements the rpc driver's Stream.
func (s *stream) Send(ctx context.Context, frames []driver.Frame) error {
	c := &pluginpb.Call{Body: &pluginpb.Call_RpcSend{RpcSend: &pluginpb.RPCSend{Frames: convert.FromFrames(frames)}}}
	r, err := s.callStream(ctx, c)
	_, err = s.p.replyOrError(ctx, c, r, err, false)
	return err
}

// Recv implements the rpc driver's Stream. Frames that arrive after the caller has
// gone are lost, and the stream with them.
func (s *stream) Recv(ctx context.Context) ([]driver.Frame, error) {
	c := &pluginpb.Call{Body: &pluginpb.Call_RpcReceive{RpcReceive: &pluginpb.RPCReceive{}}}
	r, err := s.callStream(ctx, c)
	if isReplyMissing(err) && !s.closed.Swap(true) {
		go s.p.closeLate(s.session, s.id)
	}
	if r, err = s.p.replyOrError(ctx, c, r, err, false); err != nil {
		return nil, err
	}
	return convert.ToFrames(r.GetRpcFrames().GetFrames()), nil
}

// Close implements the rpc driver's Stream.
func (s *stream) Close(ctx context.Context) error {
	if s.closed.Swap(true) {
		return nil
	}
	_, err := s.p.callInSession(ctx, s.session, closeCall(s.id), false, nil)
	return ignoreEnded(err)
}
