package service

import (
	"context"
	"strings"

	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

func (s *session) registerEndpoint(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	d, err := driverFor[driver.Directory](s)
	if err != nil {
		return nil, err
	}
	r, err := d.Register(ctx, driver.RegisterConfig{
		Service: strings.Clone(c.GetRpcRegister().GetService()), Endpoint: convert.ToEndpoint(c.GetRpcRegister().GetEndpoint()),
	})
	return s.registerHandle(ctx, r, err)
}

func (s *session) keepRegistration(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	r, err := findHandle[driver.Registration](s, c.Handle)
	if err != nil {
		return nil, err
	}
	return &pluginpb.Reply{}, r.Keep(ctx)
}

func (s *session) openEndpointWatcher(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	d, err := driverFor[driver.Directory](s)
	if err != nil {
		return nil, err
	}
	w, err := d.WatchEndpoints(ctx, driver.WatchConfig{Service: strings.Clone(c.GetRpcWatchEndpoints().GetService())})
	return s.registerHandle(ctx, w, err)
}

func (s *session) nextEndpoints(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	w, err := findHandle[driver.EndpointWatcher](s, c.Handle)
	if err != nil {
		return nil, err
	}
	endpoints, err := w.Next(ctx)
	return &pluginpb.Reply{Body: &pluginpb.Reply_RpcEndpoints{RpcEndpoints: &pluginpb.RPCEndpoints{Endpoints: convert.FromEndpoints(endpoints)}}}, err
}
