package service

import (
	"context"
	"strings"

	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

func (s *session) rpcProvider(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverOf[driver.Carrier](s)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_RpcListen:
		l, err := p.Listen(ctx, driver.ListenConfig{Service: strings.Clone(b.RpcListen.GetService())})
		return s.keep(ctx, l, err)
	case *pluginpb.Call_RpcOpenStream:
		st, err := p.OpenStream(ctx, driver.StreamConfig{
			Service: b.RpcOpenStream.GetService(), Call: convert.ToCall(b.RpcOpenStream.GetStart()),
			InitialFrames: convert.ToFrames(b.RpcOpenStream.GetFirst()),
		})
		return s.keep(ctx, st, err)
	}
	return nil, nil
}

func (s *session) rpcAccept(ctx context.Context, handle uint64) (*pluginpb.Reply, error) {
	l, err := at[driver.Listener](s, handle)
	if err != nil {
		return nil, err
	}
	in, err := l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.keep(ctx, in.Stream, nil)
	if err == nil {
		r.Body = &pluginpb.Reply_RpcIncoming{RpcIncoming: &pluginpb.RPCIncoming{Start: convert.FromCall(in.Call)}}
	}
	return r, err
}

func (s *session) rpcStream(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	st, err := at[driver.Stream](s, c.Handle)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_RpcSend:
		return &pluginpb.Reply{}, st.Send(ctx, convert.ToFrames(b.RpcSend.GetFrames()))
	case *pluginpb.Call_RpcReceive:
		frames, err := st.Recv(ctx)
		return &pluginpb.Reply{Body: &pluginpb.Reply_RpcFrames{RpcFrames: &pluginpb.RPCFrames{Frames: convert.FromFrames(frames)}}}, err
	}
	return nil, nil
}
