package memory

import (
	"context"
	"slices"
	"strings"

	"fairlead.dev/providers"
	rpcdriver "fairlead.dev/rpc/driver"
)

// endpointWatcher reports the endpoints of one service.
type endpointWatcher struct {
	life      *providers.Lifetime
	endpoints *endpointRegistry
	service   string
	reported  bool // whether Next has returned before
	last      []rpcdriver.Endpoint
}

// WatchEndpoints implements [rpcdriver.Directory].
func (d *directory) WatchEndpoints(ctx context.Context, c rpcdriver.WatchConfig) (rpcdriver.EndpointWatcher, error) {
	if err := d.life.Check(ctx); err != nil {
		return nil, err
	}
	return &endpointWatcher{life: d.life.Child("watcher"), endpoints: d.endpoints, service: c.Service}, nil
}

// Next implements [rpcdriver.EndpointWatcher].
func (w *endpointWatcher) Next(ctx context.Context) ([]rpcdriver.Endpoint, error) {
	err := w.life.Check(ctx)
	for err == nil {
		present, expiry, changed := w.endpoints.list(w.service)
		if !w.reported || !slices.Equal(present, w.last) {
			w.reported, w.last = true, present
			return slices.Clone(present), nil
		}
		err = w.life.Wait(ctx, changed, expiry)
	}
	return nil, err
}

// Close implements [rpcdriver.EndpointWatcher].
func (w *endpointWatcher) Close(context.Context) error {
	w.life.End()
	return nil
}

func compareAddresses(a, b rpcdriver.Endpoint) int { return strings.Compare(a.Address, b.Address) }
