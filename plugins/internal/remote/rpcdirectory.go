package remote

import (
	"context"
	"slices"

	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

// registration implements the rpc driver's Registration. In a new session the
// endpoint is registered anew, by the next Keep.
type registration struct{ *handle }

// Register implements the rpc driver's Directory.
func (p *provider) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	h, err := newHandle(ctx, p, nil, func(occasion) (*pluginpb.Call, error) {
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
	r.p.wait(ctx)
	_, err := r.call(ctx, &pluginpb.Call{Body: &pluginpb.Call_RpcKeep{RpcKeep: &pluginpb.RPCKeep{}}}, false)
	return err
}

// Close implements the rpc driver's Registration.
func (r registration) Close(ctx context.Context) error { return r.close(ctx) }

// endpointWatcher implements the rpc driver's EndpointWatcher.
type endpointWatcher struct {
	*handle
	told bool
	last []driver.Endpoint
}

// WatchEndpoints implements the rpc driver's Directory.
func (p *provider) WatchEndpoints(ctx context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	h, err := newHandle(ctx, p, nil, func(occasion) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_RpcWatchEndpoints{RpcWatchEndpoints: &pluginpb.RPCWatchEndpoints{Service: c.Service}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &endpointWatcher{handle: h}, nil
}

// Next implements the rpc driver's EndpointWatcher. In a new session the
// plugin tells all endpoints, which may be those that are known.
func (w *endpointWatcher) Next(ctx context.Context) ([]driver.Endpoint, error) {
	for {
		w.p.wait(ctx)
		r, err := w.read(ctx, &pluginpb.Call{Body: &pluginpb.Call_RpcNextEndpoints{RpcNextEndpoints: &pluginpb.RPCNextEndpoints{}}})
		if err != nil {
			return nil, err
		}
		now := convert.ToEndpoints(r.GetRpcEndpoints().GetEndpoints())
		if !w.told || !slices.Equal(now, w.last) {
			w.told, w.last = true, now
			return slices.Clone(now), nil
		}
	}
}

// Close implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Close(ctx context.Context) error { return w.close(ctx) }
