package etcd

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// together is how long a watcher lets changes gather: servers that are started
// at once are one change.
const together = 5 * time.Millisecond

// endpointWatcher shows the endpoints of a service. It reads them; etcd's watch
// only wakes it, so that it needs no history and is not affected by compaction.
type endpointWatcher struct {
	p        *provider
	prefix   string
	last     []driver.Endpoint
	told     bool
	revision int64 // of the last read
	life     *providers.Lifetime
}

// WatchEndpoints implements the rpc driver's Directory.
func (p *provider) WatchEndpoints(_ context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	return &endpointWatcher{p: p, prefix: p.target(c.Service) + "/", life: p.life.Child("watcher")}, nil
}

// Close implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Close(context.Context) error {
	w.life.End()
	return nil
}

// Next implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Next(ctx context.Context) ([]driver.Endpoint, error) {
	return providers.Retry(ctx, w.life, providers.Patience{}, w.step)
}

// step reads the endpoints. If they are the same as those that Next last returned,
// it waits until they may have changed.
func (w *endpointWatcher) step(ctx context.Context) (endpoints []driver.Endpoint, changed bool, err error) {
	now, err := w.readEndpoints(ctx)
	if err != nil {
		return nil, false, err
	}
	if w.told && slices.Equal(now, w.last) {
		return nil, false, w.awaitChange(ctx)
	}
	w.told, w.last = true, now
	return slices.Clone(now), true, nil
}

// readEndpoints reads the endpoints that are registered, linearizably.
func (w *endpointWatcher) readEndpoints(ctx context.Context) ([]driver.Endpoint, error) {
	r, err := w.p.readRange(ctx, &pb.RangeRequest{Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix)})
	if err != nil {
		return nil, err
	}
	w.revision = r.Header.Revision
	var now []driver.Endpoint
	for _, kv := range r.Kvs {
		if e, ok := parseEndpoint(kv.Value); ok {
			now = append(now, e)
		}
	}
	slices.SortFunc(now, func(a, b driver.Endpoint) int { return cmp.Compare(a.Address, b.Address) })
	return slices.Compact(now), nil
}

// parseEndpoint reads an entry of any program. It ignores an entry that is not in
// the form of etcd's naming, as etcd's own resolver does.
func parseEndpoint(value []byte) (driver.Endpoint, bool) {
	var e endpoints.Endpoint
	err := json.Unmarshal(value, &e)
	return driver.Endpoint{Address: e.Addr}, err == nil && e.Addr != "" && len(e.Addr) <= driver.MaxAddress
}

// awaitChange returns when something may have changed since the last read. It also
// pauses after the server has ended a stream, so that it does not call a server
// that ends every stream without a pause.
func (w *endpointWatcher) awaitChange(ctx context.Context) error {
	bounded, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel() // the stream
	err := w.p.awaitChange(bounded, &pb.WatchCreateRequest{Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix), StartRevision: w.revision + 1})
	providers.Pause(ctx, together)
	return streamEnded(ctx, err)
}

// awaitChange returns when a watch shows an event, or was ended by the server.
func (p *provider) awaitChange(ctx context.Context, r *pb.WatchCreateRequest) error {
	stream, err := p.watch.Watch(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if err != nil || resp.Canceled || len(resp.Events) > 0 {
			return err
		}
	}
}
