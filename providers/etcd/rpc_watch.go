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

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// together is how long a watcher lets changes gather: servers that are started
// at once are one change.
const together = 5 * time.Millisecond

// endpointWatcher shows the endpoints of a service. What it shows is read;
// etcd's watch only wakes it, so that it needs no history and a compaction is
// nothing to it.
type endpointWatcher struct {
	p        *provider
	prefix   string
	last     []driver.Endpoint
	told     bool
	revision int64 // of the last look
	life     context.Context
	end      context.CancelFunc
}

// WatchEndpoints implements the rpc driver's Directory.
func (p *provider) WatchEndpoints(_ context.Context, c driver.WatchConfig) (driver.EndpointWatcher, error) {
	w := &endpointWatcher{p: p, prefix: p.target(c.Service) + "/"}
	w.life, w.end = context.WithCancel(p.life)
	return w, nil
}

// Close implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Close(context.Context) error {
	w.end()
	return nil
}

// Next implements the rpc driver's EndpointWatcher.
func (w *endpointWatcher) Next(ctx context.Context) ([]driver.Endpoint, error) {
	joined, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	until := time.Now().Add(watchPatience)
	for {
		changed, err := w.step(joined)
		switch {
		case w.life.Err() != nil:
			return nil, fairlead.Errorf(fairlead.Closed, "the watcher is closed")
		case ctx.Err() != nil:
			return nil, fairlead.ContextError(ctx)
		case changed:
			return slices.Clone(w.last), nil
		case err == nil:
			until = time.Now().Add(watchPatience)
		case fairlead.CodeOf(err) != fairlead.Unavailable, time.Now().After(until):
			return nil, err
		default:
			await.Pause(joined, watchRetry)
		}
	}
}

// step looks, and if nothing has changed waits until something may have.
func (w *endpointWatcher) step(ctx context.Context) (changed bool, err error) {
	now, err := w.look(ctx)
	if err != nil {
		return false, err
	}
	if w.told && slices.Equal(now, w.last) {
		return false, w.wait(ctx)
	}
	w.told, w.last = true, now
	return true, nil
}

// look reads what is registered, linearizably.
func (w *endpointWatcher) look(ctx context.Context) ([]driver.Endpoint, error) {
	r, err := w.p.get(ctx, &pb.RangeRequest{Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix)})
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

// parseEndpoint reads an entry, whoever wrote it. Others than those of etcd's
// naming are passed over, as etcd's own resolver does.
func parseEndpoint(value []byte) (driver.Endpoint, bool) {
	var e endpoints.Endpoint
	err := json.Unmarshal(value, &e)
	return driver.Endpoint{Address: e.Addr}, err == nil && e.Addr != "" && len(e.Addr) <= driver.MaxAddress
}

// wait returns when something may have changed since the last look. A stream
// that the server ends is no reason to look at once again, and again.
func (w *endpointWatcher) wait(ctx context.Context) error {
	bounded, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel() // the stream
	err := w.p.awaitChange(bounded, &pb.WatchCreateRequest{Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix), StartRevision: w.revision + 1})
	await.Pause(ctx, together)
	return streamEnded(ctx, err)
}
