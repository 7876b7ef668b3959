package remote

import (
	"context"
	"slices"

	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

// registration implements the rpc driver's Registration. In a new session, the
// next Keep registers the endpoint again.
type registration struct{ *handle }

// Register implements the rpc driver's Directory.
func (p *provider) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	h, err := newHandle(ctx, p, nil, func(openReason) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_RpcRegister{RpcRegister: &pluginpb.RPCRegister{
			Service: c.Service, Endpoint: convert.FromEndpoint(c.Endpoint),
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return registration{h}, nil
}

// Keep implements the rpc driver's Registration.
func (r registration) Keep(ctx context.Context) error {
	r.p.awaitSession(ctx)
	_, err := r.callWithHandle(ctx, &pluginpb.Call{Body: &pluginpb.Call_RpcKeep{RpcKeep: &pluginpb.RPCKeep{}}}, false)
	return err
}

// Close implements the rpc driver's Registration.
func (r registration) Close(ctx context.Context) error { return r.closeHandle(ctx) }

// endpointWatcher implements the rpc driver's EndpointWatcher.
type endpointWatcher struct {
	*handle
	reported bool // whether Next has returned last
	last     []driver.Endpoint
}

// WatchEndpoints implements the rpc driver's Directory.
func (p *provider) WatchEndpoints(ctx context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	h, err := newHandle(ctx, p, nil, func(openReason) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_RpcWatchEndpoints{RpcWatchEndpoints: &pluginpb.RPCWatchEndpoints{Service: c.Service}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &endpointWatcher{handle: h}, nil
}

// Next implements the rpc driver's EndpointWatcher. In a new session the plugin
// reports all endpoints, which may be the same as before.
func (w *endpointWatcher) Next(ctx context.Context) ([]driver.Endpoint, error) {
	for {
		w.p.awaitSession(ctx)
		r, err := w.callNext(ctx, &pluginpb.Call{Body: &pluginpb.Call_RpcNextEndpoints{RpcNextEndpoints: &pluginpb.RPCNextEndpoints{}}})
		if err != nil {
			return nil, err
		}
		now := convert.ToEndpoints(r.GetRpcEndpoints().GetEndpoints())
		if !w.reported || !slices.Equal(now, w.last) {
			w.reported, w.last = true, now
			return slices.Clone(now), nil
		}
	}
}

// Close implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Close(ctx context.Context) error { return w.closeHandle(ctx) }
