package service

import (
	"context"
	"strings"

	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

func (s *session) openListener(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Carrier](s)
	if err != nil {
		return nil, err
	}
	l, err := p.Listen(ctx, driver.ListenConfig{Service: strings.Clone(c.GetRpcListen().GetService())})
	return s.registerHandle(ctx, l, err)
}

func (s *session) acceptStream(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	l, err := findHandle[driver.Listener](s, c.Handle)
	if err != nil {
		return nil, err
	}
	in, err := l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.registerHandle(ctx, in.Stream, nil)
	if err == nil {
		r.Body = &pluginpb.Reply_RpcIncoming{RpcIncoming: &pluginpb.RPCIncoming{Start: convert.FromCall(in.Call)}}
	}
	return r, err
}

func (s *session) openStream(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Carrier](s)
	if err != nil {
		return nil, err
	}
	o := c.GetRpcOpenStream()
	st, err := p.OpenStream(ctx, driver.StreamConfig{
		Service: o.GetService(), Call: convert.ToCall(o.GetStart()), InitialFrames: convert.ToFrames(o.GetFirst()),
	})
	return s.registerHandle(ctx, st, err)
}

func (s *session) sendFrames(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := findHandle[driver.Stream](s, c.Handle)
	if err != nil {
		return nil, err
	}
	return &pluginpb.Reply{}, st.Send(ctx, convert.ToFrames(c.GetRpcSend().GetFrames()))
}

func (s *session) receiveFrames(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := findHandle[driver.Stream](s, c.Handle)
	if err != nil {
		return nil, err
	}
	frames, err := st.Recv(ctx)
	return &pluginpb.Reply{Body: &pluginpb.Reply_RpcFrames{RpcFrames: &pluginpb.RPCFrames{Frames: convert.FromFrames(frames)}}}, err
}
