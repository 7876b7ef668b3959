package service

import (
	"context"
	"strings"

	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

func (s *session) rpcDirectory(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	d, err := driverOf[driver.Directory](s)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_RpcRegister:
		r, err := d.Register(ctx, driver.RegisterConfig{
			Service: strings.Clone(b.RpcRegister.GetService()), Endpoint: convert.ToEndpoint(b.RpcRegister.GetEndpoint()),
		})
		return s.keep(ctx, r, err)
	case *pluginpb.Call_RpcWatchEndpoints:
		w, err := d.WatchEndpoints(ctx, driver.WatchConfig{Service: strings.Clone(b.RpcWatchEndpoints.GetService())})
		return s.keep(ctx, w, err)
	}
	return nil, nil
}

func (s *session) rpcKeep(ctx context.Context, handle uint64) (*pluginpb.Reply, error) {
	r, err := at[driver.Registration](s, handle)
	if err != nil {
		return nil, err
	}
	return &pluginpb.Reply{}, r.Keep(ctx)
}

func (s *session) rpcNextEndpoints(ctx context.Context, handle uint64) (*pluginpb.Reply, error) {
	w, err := at[driver.EndpointWatcher](s, handle)
	if err != nil {
		return nil, err
	}
	now, err := w.Next(ctx)
	return &pluginpb.Reply{Body: &pluginpb.Reply_RpcEndpoints{RpcEndpoints: &pluginpb.RPCEndpoints{Endpoints: convert.FromEndpoints(now)}}}, err
}
